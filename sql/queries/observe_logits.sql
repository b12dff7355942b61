-- The logits that these runs made, with the query that each is of; also those that count for nothing.
SELECT query_id, logit
FROM rerank.pair_score
WHERE run_id = ANY(CAST(:run_ids AS bigint[]))
UNION ALL
SELECT query_id, logit
FROM rerank.score_aside
WHERE aside_for = ANY(CAST(:run_ids AS bigint[])) AND run_id = aside_for
