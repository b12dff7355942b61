-- Keys whose version was not claimed yet, for a source in another database: only their bodies are read.
SELECT s.article_id
FROM {keys} s
LEFT JOIN rerank.claim c ON c.pipeline = :pipeline AND c.article_id = s.article_id
WHERE s.ingested_at >= :since AND s.ingested_at < :until AND s.version IS NOT NULL
  AND s.article_id <> '' AND octet_length(s.article_id) <= 2000
  AND c.version IS DISTINCT FROM s.version
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = :pipeline AND t.article_id = s.article_id)
ORDER BY s.article_id
