-- name: hold_run
-- No try of the run commits until the transaction ends.
SELECT run_id FROM rerank.run WHERE run_id = :run_id FOR NO KEY UPDATE

-- name: of_run
-- The latest publication of a run.
SELECT p.publication_id, p.run_id, p.version, p.as_of, p.parquet_path, p.parquet_sha256, p.withdrawn_at IS NOT NULL AS withdrawn
FROM rerank.publication p
WHERE p.pipeline = :pipeline AND p.run_id = :run_id
ORDER BY p.version DESC
LIMIT 1

-- name: rollback
-- The page goes to this publication whatever its as-of time, and stays there until it is released.
SELECT from_publication_id, to_publication_id, actor FROM rerank.rollback_pointer(:pipeline, :publication_id, :reason)

-- name: newest
-- The publication that the page is at when nothing holds it: of the latest as-of time, then of the run that claimed last.
SELECT p.publication_id, p.run_id, p.version, p.as_of, p.parquet_path, p.parquet_sha256, p.withdrawn_at IS NOT NULL AS withdrawn
FROM rerank.publication p JOIN rerank.run r USING (run_id)
WHERE p.pipeline = :pipeline
ORDER BY p.as_of DESC, r.claimed_at DESC, p.version DESC
LIMIT 1

-- name: release
-- The page goes to the newest publication, and follows the runs again.
SELECT from_publication_id, to_publication_id, actor FROM rerank.release_pointer(:pipeline, :publication_id, :reason)
