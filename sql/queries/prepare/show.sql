-- name: steps
-- The latest revision of an article that a pipeline has claimed, with its raw text, if that is still kept, and its
-- document.
SELECT v.revision_id, v.number, v.run_id, v.lang, t.revision_id IS NOT NULL AS has_raw, t.title, t.summary, t.body,
       v.document_id, d.digest, d.text, d.pictures
FROM rerank.revision v
LEFT JOIN rerank.revision_text t USING (revision_id)
LEFT JOIN rerank.document d USING (document_id)
WHERE v.pipeline = :pipeline AND v.article_id = :article_id
ORDER BY v.number DESC
LIMIT 1

-- name: captions
-- What is said of a revision's media: captions, or what stands for them.
SELECT kind, COALESCE(NULLIF(btrim(caption), ''), alt) AS said
FROM rerank.revision_medium
WHERE revision_id = :revision_id AND COALESCE(NULLIF(btrim(caption), ''), btrim(alt), '') <> ''
ORDER BY place
