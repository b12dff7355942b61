-- name: document
-- The prepared text of an article's latest revision that has one.
SELECT d.text, d.lang
FROM rerank.revision r
JOIN rerank.document d USING (document_id)
WHERE r.pipeline = :pipeline AND r.article_id = :article_id
ORDER BY r.number DESC
LIMIT 1
