-- name: queries
-- Queries as they reach the model.
SELECT query_id, instruction, query FROM rerank.query WHERE query_id = ANY(CAST(:query_ids AS bigint[])) ORDER BY query_id

-- name: documents
-- Documents as they reach the model.
SELECT document_id, text, lang, pictures FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id
