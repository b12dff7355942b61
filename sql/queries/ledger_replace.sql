-- A run that rescores puts its own score in the place of an older one; what another of its tries has written stands.
INSERT INTO rerank.pair_score (month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device)
SELECT month, document_id, query_id, :scorer_id, logit, truncated, :run_id, :shard, latency_ms, :engine, :device
FROM pg_temp.new_score
ORDER BY query_id, document_id
ON CONFLICT (scorer_id, query_id, document_id, month) DO UPDATE
SET logit = EXCLUDED.logit, truncated = EXCLUDED.truncated, run_id = EXCLUDED.run_id, shard = EXCLUDED.shard,
    latency_ms = EXCLUDED.latency_ms, engine = EXCLUDED.engine, device = EXCLUDED.device, scored_at = now()
WHERE rerank.pair_score.run_id <> EXCLUDED.run_id
