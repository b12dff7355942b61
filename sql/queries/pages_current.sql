-- The page that the pointer is at, with a digest of all that frontends see of it: blocks and rollbacks change it, too.
SELECT p.publication_id, p.run_id, p.version, p.as_of, p.published_at, p.degraded, p.parquet_path, p.parquet_sha256, p.row_count,
       md5(concat((SELECT string_agg(md5(CAST(t AS text)), '' ORDER BY t.topic)
                   FROM rerank.current_topic t WHERE t.pipeline = c.pipeline), '/',
                  (SELECT string_agg(md5(CAST(r AS text)), '' ORDER BY r.topic, r.rank)
                   FROM rerank.current_ranking r WHERE r.pipeline = c.pipeline))) AS content
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline
