-- Texts that no revision is of any more.
SELECT d.document_id
FROM rerank.document d
WHERE NOT EXISTS (SELECT FROM rerank.revision r WHERE r.document_id = d.document_id)
ORDER BY d.document_id
LIMIT :batch
