-- name: of_run
-- The embedder whose vectors the run's recall may search; if the run's embedding failed, that of the run before.
SELECT e.embedder_id, e.digest, e.dimensions, e.family
FROM rerank.run r
JOIN rerank.embedder e USING (embedder_id)
WHERE r.pipeline = :pipeline AND r.run_id <= :run_id
ORDER BY r.run_id = :run_id DESC, r.run_id DESC
LIMIT 1

-- name: query_vectors
-- Vectors of queries, as little-endian float16.
SELECT query_id, vector
FROM rerank.query_vector
WHERE embedder_id = :embedder_id AND query_id = ANY(CAST(:query_ids AS bigint[]))
ORDER BY query_id
