-- One publication of a pipeline: the one asked for, else the one that frontends see. With it the latest one of the run
-- before, by as-of time, which its ranks are compared with; a page that the gate kept from readers is passed over.
SELECT p.publication_id, p.run_id, r.key, p.version, p.as_of, p.published_at, p.degraded, p.blocked, p.row_count, p.parquet_path, p.parquet_sha256,
       p.withdrawn_at IS NOT NULL AS withdrawn,
       p.difference, c.publication_id IS NOT NULL AS is_current, COALESCE(c.held, false) AS held,
       (SELECT g.verdict FROM rerank.gate g WHERE g.run_id = p.run_id ORDER BY g.gate_id DESC LIMIT 1) AS verdict,
       (SELECT b.publication_id
        FROM rerank.publication b
        WHERE b.pipeline = p.pipeline AND b.run_id <> p.run_id AND b.as_of < p.as_of
          AND (b.blocked IS NULL OR EXISTS (SELECT FROM rerank.pointer_move m WHERE m.to_publication_id = b.publication_id))
        ORDER BY b.as_of DESC, b.publication_id DESC
        LIMIT 1) AS before_id
FROM rerank.publication p
JOIN rerank.run r USING (run_id)
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
WHERE p.pipeline = :pipeline
  AND p.publication_id = COALESCE(CAST(:publication_id AS bigint),
                                  (SELECT publication_id FROM rerank.pointer WHERE pipeline = :pipeline))
