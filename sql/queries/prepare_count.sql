-- Where each revision of the run went, and how many of its documents are near-copies of another text.
SELECT count(*) AS revisions,
       count(DISTINCT r.document_id) AS documents,
       count(r.document_id) - count(DISTINCT r.document_id) AS copies,
       count(q.revision_id) AS quarantined,
       count(DISTINCT n.document_id) AS near_copies
FROM rerank.revision r
LEFT JOIN rerank.quarantine q ON q.revision_id = r.revision_id AND q.stage = 'prepare'
LEFT JOIN rerank.near_copy n
       ON n.pipeline = r.pipeline AND n.document_id = r.document_id AND n.leader_document_id <> n.document_id
WHERE r.run_id = :run_id
