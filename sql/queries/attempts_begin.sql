-- A row that is found here belongs to a try that failed or vanished.
INSERT INTO rerank.scoring_attempt AS a (run_id, shard)
VALUES (:run_id, :shard)
ON CONFLICT (run_id, shard) DO UPDATE
SET failures = a.failures + 1, meetings = 0, begun_at = now(),
    alone_times = CASE WHEN a.alone_query_id IS NULL THEN 0 ELSE a.alone_times + 1 END
RETURNING failures, alone_query_id, alone_document_id, alone_times
