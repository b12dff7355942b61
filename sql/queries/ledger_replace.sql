-- A run that rescores puts its own score in the place of an older one, which is kept until the gate has let the run pass;
-- what another of its tries has written stands.
WITH replaced AS (
    INSERT INTO rerank.score_aside (aside_for, month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms,
                                    engine, device, scored_at)
    SELECT :run_id, s.month, s.document_id, s.query_id, s.scorer_id, s.logit, s.truncated, s.run_id, s.shard, s.latency_ms,
           s.engine, s.device, s.scored_at
    FROM pg_temp.new_score n
    JOIN rerank.pair_score s ON s.scorer_id = :scorer_id AND s.query_id = n.query_id AND s.document_id = n.document_id AND s.month = n.month
    WHERE s.run_id <> :run_id
    ON CONFLICT DO NOTHING
)
INSERT INTO rerank.pair_score (month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device)
SELECT month, document_id, query_id, :scorer_id, logit, truncated, :run_id, :shard, latency_ms, :engine, :device
FROM pg_temp.new_score
ORDER BY query_id, document_id
ON CONFLICT (scorer_id, query_id, document_id, month) DO UPDATE
SET logit = EXCLUDED.logit, truncated = EXCLUDED.truncated, run_id = EXCLUDED.run_id, shard = EXCLUDED.shard,
    latency_ms = EXCLUDED.latency_ms, engine = EXCLUDED.engine, device = EXCLUDED.device, scored_at = now()
WHERE rerank.pair_score.run_id <> EXCLUDED.run_id
