-- The publication that the page is at when nothing holds it: of the latest as-of time, then of the run that claimed last.
SELECT p.publication_id, p.run_id, p.version, p.as_of, p.parquet_path, p.parquet_sha256, p.withdrawn_at IS NOT NULL AS withdrawn
FROM rerank.publication p JOIN rerank.run r USING (run_id)
WHERE p.pipeline = :pipeline
ORDER BY p.as_of DESC, r.claimed_at DESC, p.version DESC
LIMIT 1
