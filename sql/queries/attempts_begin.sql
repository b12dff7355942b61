-- A row that is found here belongs to a try that failed or vanished.
INSERT INTO rerank.scoring_attempt AS a (run_id, shard)
VALUES (:run_id, :shard)
ON CONFLICT (run_id, shard) DO UPDATE SET failures = a.failures + 1, begun_at = now()
RETURNING failures, alone_query_id, alone_document_id
