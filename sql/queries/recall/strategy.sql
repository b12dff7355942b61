-- name: of_run
-- The embedder whose vectors the run's recall may search; if the run's embedding failed, that of the run before.
SELECT e.embedder_id, e.digest, e.dimensions, e.family
FROM rerank.run r
JOIN rerank.embedder e USING (embedder_id)
WHERE r.pipeline = :pipeline AND r.run_id <= :run_id
ORDER BY r.run_id = :run_id DESC, r.run_id DESC
LIMIT 1
