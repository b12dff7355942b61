-- The scores that a run made leave the ledger.
WITH made AS (
    DELETE FROM rerank.pair_score WHERE run_id = :run_id
    RETURNING month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, scored_at
)
INSERT INTO rerank.score_aside (aside_for, month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms,
                                engine, device, scored_at)
SELECT :run_id, month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, scored_at
FROM made
ON CONFLICT (aside_for, scorer_id, query_id, document_id, run_id) DO UPDATE
SET logit = EXCLUDED.logit, truncated = EXCLUDED.truncated, shard = EXCLUDED.shard, latency_ms = EXCLUDED.latency_ms,
    engine = EXCLUDED.engine, device = EXCLUDED.device, scored_at = EXCLUDED.scored_at
