-- name: document
-- The prepared text of an article's latest revision that has one, and the renditions that a model of pictures reads with it.
SELECT d.text, d.lang, d.pictures
FROM rerank.revision r
JOIN rerank.document d USING (document_id)
WHERE r.pipeline = :pipeline AND r.article_id = :article_id
ORDER BY r.number DESC
LIMIT 1

-- name: pictures
-- The renditions of an article's latest revision, in their order.
SELECT m.rendition AS path
FROM rerank.revision_medium m
WHERE m.rendition IS NOT NULL
  AND m.revision_id = (SELECT r.revision_id FROM rerank.revision r
                       WHERE r.pipeline = :pipeline AND r.article_id = :article_id
                       ORDER BY r.number DESC
                       LIMIT 1)
ORDER BY m.place
