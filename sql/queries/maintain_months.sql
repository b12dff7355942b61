-- The ledger's months, and whether an article that may still be ranked has its scores there, or those of its cluster's
-- leader: by a run of lately, or by the next one of a pipeline, whose window is as long as that of the run before.
WITH windows AS (
    SELECT u.pipeline,
           least(CAST(:fresh_since AS timestamptz), min(u.fresh_since) FILTER (WHERE u.created_at >= :grace),
                 min(CAST(:grace AS timestamptz) - (u.until - u.fresh_since)) FILTER (WHERE u.is_latest)) AS since
    FROM (SELECT *, run_id = max(run_id) OVER (PARTITION BY pipeline) AS is_latest FROM rerank.run) u
    GROUP BY u.pipeline
)
SELECT m.month, m.bytes, m.month < CAST(:before AS date) AS old,
       m.month < CAST(:before AS date) AND (EXISTS (
           SELECT FROM rerank.document d
           JOIN rerank.revision r USING (document_id)
           JOIN windows w ON w.pipeline = r.pipeline AND r.first_ingested_at >= w.since
           WHERE d.month = m.month
       ) OR EXISTS (
           SELECT FROM rerank.document d
           JOIN rerank.near_copy n ON n.leader_document_id = d.document_id
           JOIN rerank.revision r ON r.pipeline = n.pipeline AND r.document_id = n.document_id
           JOIN windows w ON w.pipeline = r.pipeline AND r.first_ingested_at >= w.since
           WHERE d.month = m.month
       )) AS needed
FROM (SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS month, pg_total_relation_size(c.oid) AS bytes
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = CAST('rerank.pair_score' AS regclass)) m
ORDER BY m.month
