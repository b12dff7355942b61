-- Where each source row and each revision of a run went.
SELECT u.sighted, u.claimed, u.unchanged, u.too_late, u.later, u.invalid, COALESCE(u.forgotten, 0) AS forgotten,
       r.revisions, r.nowhere, r.twice
FROM rerank.run u
CROSS JOIN LATERAL (
    SELECT count(*) AS revisions,
           count(*) FILTER (WHERE v.document_id IS NULL AND q.revision_id IS NULL) AS nowhere,
           count(*) FILTER (WHERE v.document_id IS NOT NULL AND q.revision_id IS NOT NULL) AS twice
    FROM rerank.revision v
    LEFT JOIN (SELECT DISTINCT revision_id FROM rerank.quarantine) q USING (revision_id)
    WHERE v.run_id = u.run_id
) r
WHERE u.run_id = :run_id
