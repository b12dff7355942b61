-- Vectors of documents that have none, in key order: concurrent runs cannot deadlock. A document may be gone by now.
INSERT INTO {vectors} (document_id, vector)
SELECT n.document_id, CAST(n.vector AS halfvec)
FROM unnest(CAST(:document_ids AS bigint[]), CAST(:vectors AS text[])) AS n (document_id, vector)
JOIN rerank.document d USING (document_id)
ORDER BY n.document_id
FOR KEY SHARE OF d
ON CONFLICT (document_id) DO NOTHING
