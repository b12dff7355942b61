-- name: latest
-- What the gate decided last about a run.
SELECT g.verdict, g.sentence, g.fence, g.actor, g.decided_at
FROM rerank.gate g
WHERE g.run_id = :run_id
ORDER BY g.gate_id DESC
LIMIT 1

-- name: scores
-- How the scores that a run made are spread, all together (shard null) and by shard; with the margin of the canary that
-- each shard's engine showed, null if none was kept.
SELECT s.shard, s.pairs, s.not_finite, s.deviation, margin.value AS margin
FROM (
    SELECT shard, count(*) AS pairs, count(*) FILTER (WHERE NOT finite) AS not_finite,
           stddev_pop(CAST(logit AS double precision)) FILTER (WHERE finite) AS deviation
    FROM (SELECT shard, logit, logit NOT IN ('NaN', 'Infinity', '-Infinity') AS finite
          FROM rerank.pair_score WHERE run_id = :run_id) made
    GROUP BY GROUPING SETS ((shard), ())
) s
LEFT JOIN rerank.run_metric margin
       ON margin.run_id = :run_id AND margin.stage = 'rerank[' || s.shard || ']' AND margin.name = 'canary_margin'
ORDER BY s.shard NULLS FIRST

-- name: run
-- Whether the run's canaries and counts were kept, and whether it has been published before.
SELECT u.gated, EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = u.run_id) AS published
FROM rerank.run u
WHERE u.run_id = :run_id

-- name: articles
-- Where each source row and each revision of a run went.
SELECT u.sighted, u.claimed, u.unchanged, u.too_late, u.later, u.invalid, COALESCE(u.forgotten, 0) AS forgotten,
       r.revisions, r.nowhere, r.twice
FROM rerank.run u
CROSS JOIN LATERAL (
    SELECT count(*) AS revisions,
           count(*) FILTER (WHERE v.document_id IS NULL AND q.revision_id IS NULL AND NOT u.early) AS nowhere,
           count(*) FILTER (WHERE v.document_id IS NOT NULL AND q.revision_id IS NOT NULL) AS twice
    FROM rerank.revision v
    LEFT JOIN (SELECT DISTINCT revision_id FROM rerank.quarantine) q USING (revision_id)
    WHERE v.run_id = u.run_id
) r
WHERE u.run_id = :run_id

-- name: window
-- Where each document of the window went, for each topic.
SELECT slug, wanted, wanted + carried + ineligible + not_searched + not_recalled + not_recalled_language AS documents
FROM rerank.run_topic
WHERE run_id = :run_id
ORDER BY slug

-- name: standing
-- The current page: which of these topics it has, and how many of them are empty without the articles that must not be shown
-- any more.
SELECT p.run_id, array_remove(array_agg(t.slug), NULL) AS slugs,
       count(t.slug) FILTER (WHERE NOT EXISTS (
           SELECT FROM rerank.ranking r
           WHERE r.publication_id = t.publication_id AND r.slug = t.slug
             AND r.article_id <> ALL(CAST(:hidden AS text[])))) AS empty
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
LEFT JOIN rerank.ranking_topic t ON t.publication_id = p.publication_id AND t.slug = ANY(CAST(:slugs AS text[]))
WHERE c.pipeline = :pipeline
GROUP BY p.run_id

-- name: hold_run
-- The gate waits until no try is in the middle of writing a chunk of scores; later tries wait for the gate.
SELECT run_id FROM rerank.run WHERE run_id = :run_id FOR UPDATE

-- name: set_aside
-- The scores that a run made leave the ledger.
WITH made AS (
    DELETE FROM rerank.pair_score WHERE run_id = :run_id
    RETURNING month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, host, scored_at
)
INSERT INTO rerank.score_aside (aside_for, month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms,
                                engine, device, host, scored_at)
SELECT :run_id, month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, host, scored_at
FROM made
ON CONFLICT (aside_for, scorer_id, query_id, document_id, run_id) DO UPDATE
SET logit = EXCLUDED.logit, truncated = EXCLUDED.truncated, shard = EXCLUDED.shard, latency_ms = EXCLUDED.latency_ms,
    engine = EXCLUDED.engine, device = EXCLUDED.device, host = EXCLUDED.host, scored_at = EXCLUDED.scored_at

-- name: count_aside
-- How many scores of a run count for nothing.
SELECT count(*) AS distrusted FROM rerank.score_aside WHERE aside_for = :run_id AND run_id = :run_id

-- name: drop_aside
-- The run passed: what was set aside for it is needed no more.
DELETE FROM rerank.score_aside WHERE aside_for = :run_id

-- name: add
-- Keep a decision of the gate, or of a person about the run.
INSERT INTO rerank.gate (run_id, verdict, sentence, fence, on_behalf_of)
VALUES (:run_id, :verdict, :sentence, :fence, COALESCE(CAST(:on_behalf_of AS text), rerank.asked_by()))

-- name: months
-- The months of the scores that were set aside for a run.
SELECT DISTINCT month FROM rerank.score_aside WHERE aside_for = :run_id ORDER BY month

-- name: bring_back
-- Scores that were set aside go back to the ledger: those that the run made itself, or those that it replaced. A score that
-- the ledger has got since stays.
WITH back AS (
    DELETE FROM rerank.score_aside
    WHERE aside_for = :run_id AND (run_id = :run_id) = :own
    RETURNING month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, host, scored_at
)
INSERT INTO rerank.pair_score AS s (month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine,
                                    device, host, scored_at)
SELECT DISTINCT ON (query_id, document_id, scorer_id)
       month, document_id, query_id, scorer_id, logit, truncated, run_id, shard, latency_ms, engine, device, host, scored_at
FROM back
ORDER BY query_id, document_id, scorer_id, scored_at DESC
ON CONFLICT (scorer_id, query_id, document_id, month) DO UPDATE
SET logit = EXCLUDED.logit, truncated = EXCLUDED.truncated, run_id = EXCLUDED.run_id, shard = EXCLUDED.shard,
    latency_ms = EXCLUDED.latency_ms, engine = EXCLUDED.engine, device = EXCLUDED.device, host = EXCLUDED.host, scored_at = EXCLUDED.scored_at
WHERE s.scored_at < EXCLUDED.scored_at
