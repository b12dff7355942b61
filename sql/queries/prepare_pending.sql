-- The run's revisions that have neither a document nor a place in quarantine, with their raw text.
SELECT r.revision_id, r.lang, t.title, t.summary, t.body
FROM rerank.revision r
JOIN rerank.revision_text t USING (revision_id)
WHERE r.run_id = :run_id AND r.revision_id > :after AND r.document_id IS NULL
  AND NOT EXISTS (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id)
ORDER BY r.revision_id
LIMIT :batch
