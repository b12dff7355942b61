-- The ids of queries.
SELECT digest, query_id FROM rerank.query WHERE digest = ANY(CAST(:digests AS bytea[])) ORDER BY query_id
