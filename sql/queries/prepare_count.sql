-- Where each revision of the run went.
SELECT count(*) AS revisions,
       count(DISTINCT r.document_id) AS documents,
       count(r.document_id) - count(DISTINCT r.document_id) AS copies,
       count(q.revision_id) AS quarantined
FROM rerank.revision r
LEFT JOIN rerank.quarantine q ON q.revision_id = r.revision_id AND q.stage = 'prepare'
WHERE r.run_id = :run_id
