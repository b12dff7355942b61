-- name: topics
-- The state of each topic of the current page, or of one topic.
SELECT topic, query, as_of, overdue_since, state, ranked, missing, refused, left_out, source_limited, run_id, version, publication_id, parquet_path
FROM rerank.current_topic
WHERE pipeline = :pipeline AND (CAST(:topic AS text) IS NULL OR topic = :topic)
ORDER BY topic

-- name: ranking
-- The first rows of each topic of the current page, or of one topic.
SELECT topic, rank, article_id, title, source, lang, ranked_by, logit, light_score, is_new, flags, copies, moved_by, moved,
       as_of - began_at AS age
FROM (
    SELECT *, row_number() OVER (PARTITION BY topic ORDER BY rank) AS place
    FROM rerank.current_ranking
    WHERE pipeline = :pipeline AND (CAST(:topic AS text) IS NULL OR topic = :topic)
) r
WHERE place <= :limit
ORDER BY topic, rank

-- name: runs
-- The latest runs of a pipeline, and how each was last published.
SELECT r.run_id, r.key, r.until, r.topics, r.degraded, r.created_at, p.version, p.row_count, p.published_at, p.difference,
       page.run_id IS NOT NULL AS is_current, page.held, page.version AS page_version, g.verdict, g.sentence, psi.value AS drift_psi,
       CASE WHEN p.publication_id IS NOT NULL THEN 'published'
            WHEN r.frozen_at IS NOT NULL THEN 'frozen'
            WHEN r.prepared_at IS NOT NULL THEN 'prepared'
            WHEN r.claimed_at IS NOT NULL THEN 'claimed'
            ELSE 'open' END AS state
FROM rerank.run r
LEFT JOIN LATERAL (SELECT * FROM rerank.publication WHERE run_id = r.run_id ORDER BY version DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (SELECT * FROM rerank.gate WHERE run_id = r.run_id ORDER BY gate_id DESC LIMIT 1) g ON true
LEFT JOIN rerank.run_metric psi ON psi.run_id = r.run_id AND psi.stage = 'observe' AND psi.name = 'drift_psi'
LEFT JOIN (SELECT o.run_id, o.version, c.held FROM rerank.pointer c JOIN rerank.publication o USING (publication_id)) page
       ON page.run_id = r.run_id   -- a held page may be of an earlier version
WHERE r.pipeline = :pipeline
ORDER BY r.run_id DESC
LIMIT :limit
