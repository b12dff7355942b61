-- Deletes the raw text of revisions that are prepared, or in quarantine, and were claimed long ago.
WITH old AS (
    SELECT t.revision_id
    FROM rerank.revision_text t
    JOIN rerank.revision r USING (revision_id)
    JOIN rerank.run u USING (run_id)
    WHERE r.pipeline = :pipeline AND u.claimed_at < :before
      AND (r.document_id IS NOT NULL OR EXISTS (SELECT FROM rerank.quarantine q WHERE q.revision_id = r.revision_id))
    ORDER BY t.revision_id
    LIMIT :batch
), gone AS (
    DELETE FROM rerank.revision_text t USING old WHERE t.revision_id = old.revision_id AND NOT :dry_run
)
SELECT count(*) AS found FROM old
