-- Publications whose files show an article that has to go, the page's own first published again.
SELECT p.publication_id, p.pipeline, p.parquet_path, c.publication_id IS NOT NULL AS is_current
FROM rerank.publication p
LEFT JOIN rerank.pointer c ON c.publication_id = p.publication_id
WHERE p.pipeline = ANY(CAST(:pipelines AS text[]))
  AND EXISTS (SELECT FROM rerank.ranking r WHERE r.publication_id = p.publication_id AND r.article_id = :article_id)
ORDER BY p.publication_id
