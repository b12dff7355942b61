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
-- Takes the page to this publication, whatever its as-of time, and holds it there until it is released.
SELECT from_publication_id, to_publication_id, actor || COALESCE(' for ' || rerank.asked_by(), '') AS actor
FROM rerank.rollback_pointer(:pipeline, :publication_id, :reason)

-- name: newest
-- The publication that the page shows if nothing holds it: the latest as-of time, then the run that claimed last.
SELECT p.publication_id, p.run_id, p.version, p.as_of, p.parquet_path, p.parquet_sha256, p.withdrawn_at IS NOT NULL AS withdrawn
FROM rerank.publication p JOIN rerank.run r USING (run_id)
WHERE p.pipeline = :pipeline
ORDER BY p.as_of DESC, r.claimed_at DESC, p.version DESC
LIMIT 1

-- name: release
-- Takes the page to the newest publication; the page follows the runs again.
SELECT from_publication_id, to_publication_id, actor || COALESCE(' for ' || rerank.asked_by(), '') AS actor
FROM rerank.release_pointer(:pipeline, :publication_id, :reason)
