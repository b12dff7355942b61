-- name: texts
-- The texts of documents, in which the terms of topics are looked for.
SELECT document_id, text FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id
