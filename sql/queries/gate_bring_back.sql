-- Scores that were set aside go back to the ledger: those that the run made itself, or those that it replaced. One that
-- the ledger has got since stays.
WITH back AS (
    DELETE FROM rerank.score_aside
    WHERE aside_for = :run_id AND (run_id = :run_id) = :own
    RETURNING month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, scored_at
)
INSERT INTO rerank.pair_score AS s (month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine,
                                    device, scored_at)
SELECT DISTINCT ON (query_id, document_id, scorer_id)
       month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, scored_at
FROM back
ORDER BY query_id, document_id, scorer_id, scored_at DESC
ON CONFLICT (scorer_id, query_id, document_id, month) DO UPDATE
SET logit = EXCLUDED.logit, truncated = EXCLUDED.truncated, run_id = EXCLUDED.run_id, shard = EXCLUDED.shard,
    latency_ms = EXCLUDED.latency_ms, engine = EXCLUDED.engine, device = EXCLUDED.device, scored_at = EXCLUDED.scored_at
WHERE s.scored_at < EXCLUDED.scored_at
