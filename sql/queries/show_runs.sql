-- The latest runs of a pipeline, and how each was last published.
SELECT r.run_id, r.key, r.until, r.topics, r.degraded, r.created_at, p.version, p.row_count, p.published_at, p.difference,
       c.publication_id IS NOT NULL AS is_current, g.verdict, g.sentence, psi.value AS drift_psi,
       CASE WHEN p.publication_id IS NOT NULL THEN 'published'
            WHEN r.frozen_at IS NOT NULL THEN 'frozen'
            WHEN r.prepared_at IS NOT NULL THEN 'prepared'
            WHEN r.claimed_at IS NOT NULL THEN 'claimed'
            ELSE 'open' END AS state
FROM rerank.run r
LEFT JOIN LATERAL (SELECT * FROM rerank.publication WHERE run_id = r.run_id ORDER BY version DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (SELECT * FROM rerank.gate WHERE run_id = r.run_id ORDER BY gate_id DESC LIMIT 1) g ON true
LEFT JOIN rerank.run_metric psi ON psi.run_id = r.run_id AND psi.stage = 'observe' AND psi.name = 'drift_psi'
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
WHERE r.pipeline = :pipeline
ORDER BY r.run_id DESC
LIMIT :limit
