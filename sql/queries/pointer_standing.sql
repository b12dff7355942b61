-- The publication that the pipeline's pointer is at.
SELECT c.publication_id, c.held, p.run_id, p.version, p.as_of, p.parquet_path, p.withdrawn_at IS NOT NULL AS withdrawn
FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline
