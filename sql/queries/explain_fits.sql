-- Which of these patterns a document's text matches, in any case; as recall filters.
SELECT p.pattern, d.text ~* p.pattern AS matches
FROM rerank.document d
CROSS JOIN unnest(CAST(:patterns AS text[])) AS p (pattern)
WHERE d.document_id = :document_id
