-- name: scores
-- How the scoring of a run went; scores that count for nothing are included.
SELECT count(*) AS scored,
       percentile_cont(0.50) WITHIN GROUP (ORDER BY latency_ms) AS latency_ms_p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) AS latency_ms_p99,
       (SELECT sum(m.value) FILTER (WHERE m.name = 'scored') / NULLIF(sum(m.value) FILTER (WHERE m.name = 'score_seconds'), 0)
        FROM rerank.run_metric m WHERE m.run_id = :run_id AND m.stage LIKE 'rerank[%') AS pairs_per_second,
       CAST(avg(logit) AS double precision) AS logit_mean,
       percentile_cont(0.10) WITHIN GROUP (ORDER BY logit) AS logit_p10,
       percentile_cont(0.50) WITHIN GROUP (ORDER BY logit) AS logit_p50,
       percentile_cont(0.90) WITHIN GROUP (ORDER BY logit) AS logit_p90,
       (SELECT CAST(EXTRACT(EPOCH FROM COALESCE(u.published_at, max(p.published_at)) - u.until) AS double precision)
        FROM rerank.run u LEFT JOIN rerank.publication p USING (run_id) WHERE u.run_id = :run_id GROUP BY u.run_id) AS page_age_seconds
FROM (SELECT logit, latency_ms FROM rerank.pair_score WHERE run_id = :run_id
      UNION ALL
      SELECT logit, latency_ms FROM rerank.score_aside WHERE aside_for = :run_id AND run_id = :run_id) made

-- name: pairs
-- What became of the pairs that the run's latest publication wanted scored; whether it is degraded or blocked.
SELECT p.degraded, p.blocked IS NOT NULL AS blocked,
       CAST(COALESCE(sum(t.scored), 0) AS bigint) AS pairs_scored,
       CAST(COALESCE(sum(t.from_ledger), 0) AS bigint) AS pairs_from_ledger,
       CAST(COALESCE(sum(t.refused), 0) AS bigint) AS pairs_refused,
       CAST(COALESCE(sum(t.missing), 0) AS bigint) AS pairs_missing,
       CAST(COALESCE(sum(t.left_out), 0) AS bigint) AS pairs_left_out
FROM rerank.publication p
LEFT JOIN rerank.ranking_topic t USING (publication_id)
WHERE p.publication_id = (SELECT max(publication_id) FROM rerank.publication WHERE run_id = :run_id)
GROUP BY p.publication_id, p.degraded, p.blocked

-- name: psi
-- The drift of each topic's logits in a run; null if there are too few logits.
UPDATE rerank.run_topic t SET psi = found.psi
FROM unnest(CAST(:slugs AS text[]), CAST(:psis AS double precision[])) AS found (slug, psi)
WHERE t.run_id = :run_id AND t.slug = found.slug

-- name: baseline
-- Earlier runs whose scores a run is compared with: the latest of its pipeline under its scorer, until they have scored
-- enough together. Blocked runs are left out.
SELECT run_id
FROM (
    SELECT r.run_id, sum(scored.value) OVER (ORDER BY r.until DESC, r.run_id DESC) - scored.value AS before
    FROM rerank.run r
    JOIN rerank.run mine ON mine.run_id = :run_id
    JOIN rerank.run_metric scored ON scored.run_id = r.run_id AND scored.stage = 'observe' AND scored.name = 'scored'
    WHERE r.pipeline = mine.pipeline AND r.scorer_id = mine.scorer_id AND (r.until, r.run_id) < (mine.until, mine.run_id)
      AND scored.value > 0
      AND COALESCE((SELECT g.verdict FROM rerank.gate g WHERE g.run_id = r.run_id ORDER BY g.gate_id DESC LIMIT 1), 'passed')
          <> 'blocked'
) earlier
WHERE before < :enough
ORDER BY run_id

-- name: queries
-- The queries of each topic as a run has frozen it.
SELECT t.slug, q.query_id
FROM rerank.run_topic t
JOIN rerank.topic_version v USING (topic_version_id)
CROSS JOIN LATERAL (SELECT v.query AS query UNION SELECT value FROM jsonb_each_text(v.queries)) asked
JOIN rerank.query q ON q.instruction = v.instruction AND q.query = asked.query
WHERE t.run_id = :run_id
ORDER BY t.slug, q.query_id

-- name: logits
-- The logits that these runs made, each with its query; logits that count for nothing are included.
SELECT query_id, logit
FROM rerank.pair_score
WHERE run_id = ANY(CAST(:run_ids AS bigint[]))
UNION ALL
SELECT query_id, logit
FROM rerank.score_aside
WHERE aside_for = ANY(CAST(:run_ids AS bigint[])) AND run_id = aside_for

-- name: record
-- Metrics of a stage; a later attempt replaces them.
INSERT INTO rerank.run_metric (run_id, stage, name, value)
SELECT :run_id, :stage, name, value
FROM unnest(CAST(:names AS text[]), CAST(:values AS double precision[])) AS m (name, value)
ON CONFLICT (run_id, stage, name) DO UPDATE SET value = EXCLUDED.value, recorded_at = now()
