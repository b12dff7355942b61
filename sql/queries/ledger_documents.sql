-- Which of these documents are there; that of a forgotten article is not.
SELECT document_id FROM rerank.document WHERE document_id = ANY(CAST(:document_ids AS bigint[])) ORDER BY document_id
