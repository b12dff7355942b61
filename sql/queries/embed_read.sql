-- Vectors as pgvector sends them.
SELECT document_id, halfvec_send(vector) AS vector
FROM {vectors}
WHERE document_id = ANY(CAST(:document_ids AS bigint[]))
ORDER BY document_id
