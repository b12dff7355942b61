-- The run behind the current page of a pipeline.
SELECT p.run_id
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline
