-- The publications of a run.
SELECT p.publication_id, p.version, p.published_at, p.row_count, p.rows_sha256, p.degraded, p.blocked, p.difference, p.parquet_path,
       p.withdrawn_at,
       c.publication_id IS NOT NULL AS is_current
FROM rerank.publication p
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
WHERE p.run_id = :run_id
ORDER BY p.version DESC
LIMIT 20
