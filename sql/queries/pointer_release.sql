-- The page goes to the newest publication, and follows the runs again.
SELECT from_publication_id, to_publication_id, actor FROM rerank.release_pointer(:pipeline, :publication_id, :reason)
