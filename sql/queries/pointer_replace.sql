-- The page goes from a publication whose file has to go to the same one without what was forgotten; held stays held.
SELECT from_publication_id, to_publication_id, actor
FROM rerank.replace_pointer(:pipeline, :from_publication_id, :publication_id, :reason)
