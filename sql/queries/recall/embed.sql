-- name: run
-- Records whose vectors the run's recall may search.
UPDATE rerank.run SET embedder_id = :embedder_id WHERE run_id = :run_id AND frozen_at IS NULL

-- name: missing_queries
-- Which of these queries have no vector by this embedder.
SELECT q.query_id, q.instruction, q.query
FROM rerank.query q
WHERE q.query_id = ANY(CAST(:query_ids AS bigint[]))
  AND NOT EXISTS (SELECT FROM rerank.query_vector v WHERE v.embedder_id = :embedder_id AND v.query_id = q.query_id)
ORDER BY q.query_id

-- name: add_queries
-- Stores vectors of queries, in key order, so that concurrent runs cannot deadlock.
INSERT INTO rerank.query_vector (embedder_id, query_id, vector)
SELECT :embedder_id, query_id, vector
FROM unnest(CAST(:query_ids AS bigint[]), CAST(:vectors AS bytea[])) AS n (query_id, vector)
ORDER BY query_id
ON CONFLICT (embedder_id, query_id) DO NOTHING

-- name: documents
-- The texts that the embedder reads.
SELECT document_id, text FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id
