-- What the stages of these runs recorded.
SELECT run_id, stage, name, value FROM rerank.run_metric WHERE run_id = ANY(CAST(:run_ids AS bigint[])) ORDER BY run_id, stage, name
