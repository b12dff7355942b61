-- The latest publication of a run.
SELECT p.publication_id, p.run_id, p.version, p.as_of, p.parquet_path, p.parquet_sha256, p.withdrawn_at IS NOT NULL AS withdrawn
FROM rerank.publication p
WHERE p.pipeline = :pipeline AND p.run_id = :run_id
ORDER BY p.version DESC
LIMIT 1
