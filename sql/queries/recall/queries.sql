-- name: store_queries
-- Queries that are not known yet, in digest order: concurrent runs cannot deadlock.
INSERT INTO rerank.query (digest, instruction, query)
SELECT digest, instruction, query
FROM unnest(CAST(:digests AS bytea[]), CAST(:instructions AS text[]), CAST(:queries AS text[])) AS q (digest, instruction, query)
ORDER BY digest
ON CONFLICT (digest) DO NOTHING

-- name: queries
-- The ids of queries.
SELECT digest, query_id FROM rerank.query WHERE digest = ANY(CAST(:digests AS bytea[])) ORDER BY query_id
