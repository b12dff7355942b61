-- The ledger's months, and whether an article that may still be ranked has its scores there.
SELECT m.month, m.bytes, m.month < CAST(:before AS date) AS old,
       m.month < CAST(:before AS date) AND EXISTS (
           SELECT FROM rerank.document d
           JOIN rerank.revision r USING (document_id)
           WHERE d.month = m.month
             AND r.first_ingested_at >= least(CAST(:fresh_since AS timestamptz),
                                              (SELECT min(u.fresh_since) FROM rerank.run u WHERE u.created_at >= :grace))
       ) AS needed
FROM (SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS month, pg_total_relation_size(c.oid) AS bytes
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = CAST('rerank.pair_score' AS regclass)) m
ORDER BY m.month
