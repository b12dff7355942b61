-- Leaders that share a band with a new text, as they are compared.
SELECT n.document_id, n.first_ingested_at, d.lang, d.signature, d.marks
FROM rerank.near_copy n
JOIN rerank.document d USING (document_id)
WHERE n.pipeline = :pipeline AND n.document_id = ANY(CAST(:document_ids AS bigint[]))
ORDER BY n.first_ingested_at, n.article_id
