-- Those of these documents that have no vector.
SELECT w.document_id
FROM unnest(CAST(:document_ids AS bigint[])) AS w (document_id)
WHERE NOT EXISTS (SELECT FROM {vectors} v WHERE v.document_id = w.document_id)
ORDER BY w.document_id
