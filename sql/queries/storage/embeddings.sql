-- name: search_path
-- Lets this transaction find the types and operators of the extension, which may be in any schema.
SELECT set_config('search_path', quote_ident(n.nspname) || ', pg_catalog', true)
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'

-- name: documents
-- Vectors of documents in the binary form of pgvector.
SELECT document_id, halfvec_send(vector) AS vector
FROM {vectors}
WHERE document_id = ANY(CAST(:document_ids AS bigint[]))
ORDER BY document_id

-- name: queries
-- Vectors of queries, as little-endian float16.
SELECT query_id, vector
FROM rerank.query_vector
WHERE embedder_id = :embedder_id AND query_id = ANY(CAST(:query_ids AS bigint[]))
ORDER BY query_id
