-- The texts that reach the embedder.
SELECT document_id, text FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id
