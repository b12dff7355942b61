-- A refused pair is not asked for again under this scorer.
INSERT INTO rerank.refused_pair (document_id, query_id, scorer_id, reason, run_id)
SELECT document_id, query_id, :scorer_id, reason, :run_id
FROM unnest(CAST(:document_ids AS bigint[]), CAST(:query_ids AS bigint[]), CAST(:reasons AS text[])) AS r (document_id, query_id, reason)
ORDER BY query_id, document_id
ON CONFLICT DO NOTHING
