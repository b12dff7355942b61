-- A refused pair is not asked for again under this scorer. Its document may be gone by now.
INSERT INTO rerank.refused_pair (document_id, query_id, scorer_id, reason, run_id)
SELECT r.document_id, r.query_id, :scorer_id, r.reason, :run_id
FROM unnest(CAST(:document_ids AS bigint[]), CAST(:query_ids AS bigint[]), CAST(:reasons AS text[])) AS r (document_id, query_id, reason)
JOIN rerank.document d USING (document_id)
ORDER BY r.query_id, r.document_id
FOR KEY SHARE OF d
ON CONFLICT DO NOTHING
