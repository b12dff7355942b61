-- A pair that has a score keeps it.
INSERT INTO rerank.pair_score (month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device)
SELECT month, document_id, query_id, :scorer_id, logit, truncated, :run_id, :shard, latency_ms, :engine, :device
FROM pg_temp.new_score
ORDER BY query_id, document_id
ON CONFLICT (scorer_id, query_id, document_id, month) DO NOTHING
