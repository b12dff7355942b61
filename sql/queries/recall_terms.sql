-- The BM25 terms that prepare has stored.
SELECT document_id, terms FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id
