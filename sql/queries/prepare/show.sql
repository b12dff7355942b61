-- name: steps
-- The latest revision of an article that a pipeline has claimed, with its raw text, if that is still kept, and its
-- document.
SELECT v.number, v.run_id, v.lang, t.revision_id IS NOT NULL AS has_raw, t.title, t.summary, t.body,
       v.document_id, d.digest, d.text
FROM rerank.revision v
LEFT JOIN rerank.revision_text t USING (revision_id)
LEFT JOIN rerank.document d USING (document_id)
WHERE v.pipeline = :pipeline AND v.article_id = :article_id
ORDER BY v.number DESC
LIMIT 1
