-- Ties each revision to its document.
UPDATE rerank.revision r
SET document_id = d.document_id, title = p.title
FROM unnest(CAST(:revision_ids AS bigint[]), CAST(:digests AS bytea[]), CAST(:titles AS text[])) AS p (revision_id, digest, title)
JOIN rerank.document d ON d.digest = p.digest
WHERE r.revision_id = p.revision_id
