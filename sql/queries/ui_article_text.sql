-- A revision's text as it was claimed, and as the model reads it; the beginning of each.
SELECT t.revision_id IS NOT NULL AS has_raw, left(t.title, :characters) AS raw_title, left(t.summary, :characters) AS raw_summary,
       left(t.body, :characters) AS raw_body, length(t.body) AS raw_length, left(d.text, :characters) AS text, length(d.text) AS length
FROM rerank.revision v
LEFT JOIN rerank.revision_text t USING (revision_id)
LEFT JOIN rerank.document d USING (document_id)
WHERE v.revision_id = :revision_id
