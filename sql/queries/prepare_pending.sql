-- Revisions that have neither a document nor a place in quarantine, with their raw text: of the run, and of earlier
-- ones that were never published.
SELECT r.revision_id, r.lang, left(t.title, :characters) AS title, left(t.summary, :characters) AS summary,
       left(t.body, :characters) AS body
FROM rerank.revision r
JOIN rerank.run u USING (run_id)
JOIN rerank.revision_text t USING (revision_id)
WHERE (u.run_id = :run_id OR u.pipeline = :pipeline AND u.published_at IS NULL AND u.until <= :until)
  AND r.revision_id > :after AND r.document_id IS NULL
  AND NOT EXISTS (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id)
ORDER BY r.revision_id
LIMIT :batch
