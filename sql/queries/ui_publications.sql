-- The latest publications of a pipeline, to choose one from.
SELECT p.publication_id, p.run_id, p.version, p.as_of, p.degraded, c.publication_id IS NOT NULL AS is_current
FROM rerank.publication p
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
WHERE p.pipeline = :pipeline
ORDER BY p.as_of DESC, p.publication_id DESC
LIMIT :limit
