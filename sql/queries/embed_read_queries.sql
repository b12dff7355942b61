-- Vectors of queries.
SELECT query_id, vector
FROM rerank.query_vector
WHERE embedder_id = :embedder_id AND query_id = ANY(CAST(:query_ids AS bigint[]))
ORDER BY query_id
