-- The page goes to this publication whatever its as-of time, and stays there until it is released.
SELECT from_publication_id, to_publication_id, actor FROM rerank.rollback_pointer(:pipeline, :publication_id, :reason)
