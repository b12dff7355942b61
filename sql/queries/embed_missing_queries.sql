-- Those of these queries that have no vector by this embedder.
SELECT q.query_id, q.instruction, q.query
FROM rerank.query q
WHERE q.query_id = ANY(CAST(:query_ids AS bigint[]))
  AND NOT EXISTS (SELECT FROM rerank.query_vector v WHERE v.embedder_id = :embedder_id AND v.query_id = q.query_id)
ORDER BY q.query_id
