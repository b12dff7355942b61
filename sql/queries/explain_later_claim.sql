-- The first run that has claimed the article at all.
SELECT r.run_id, u.until
FROM rerank.revision r
JOIN rerank.run u USING (run_id)
WHERE r.pipeline = :pipeline AND r.article_id = :article_id
ORDER BY r.number
LIMIT 1
