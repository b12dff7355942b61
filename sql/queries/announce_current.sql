-- The publication that frontends see, as an asset event tells it.
SELECT p.run_id, p.as_of, p.publication_id, p.version, p.degraded, p.blocked,
       (SELECT count(*) FROM rerank.ranking_topic t WHERE t.publication_id = p.publication_id) AS topics,
       p.row_count AS rows, p.rows_sha256, p.parquet_path
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
WHERE c.pipeline = :pipeline
