-- Vectors of queries, in key order: concurrent runs cannot deadlock.
INSERT INTO rerank.query_vector (embedder_id, query_id, vector)
SELECT :embedder_id, query_id, vector
FROM unnest(CAST(:query_ids AS bigint[]), CAST(:vectors AS bytea[])) AS n (query_id, vector)
ORDER BY query_id
ON CONFLICT (embedder_id, query_id) DO NOTHING
