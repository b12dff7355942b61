-- Deletes revisions that no run can rank any more, with what is known of them; that they were claimed stays in the claims.
WITH old AS (
    SELECT r.revision_id
    FROM rerank.revision r
    JOIN rerank.run u USING (run_id)
    WHERE r.pipeline = :pipeline AND r.first_ingested_at < :fresh_since
      AND COALESCE(u.published_at, u.created_at) < :before
      AND NOT EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = u.run_id)
    ORDER BY r.revision_id
    LIMIT :batch
), texts AS (
    DELETE FROM rerank.revision_text t USING old WHERE t.revision_id = old.revision_id AND NOT :dry_run
), quarantined AS (
    DELETE FROM rerank.quarantine q USING old WHERE q.revision_id = old.revision_id AND NOT :dry_run
), revisions AS (
    DELETE FROM rerank.revision r USING old WHERE r.revision_id = old.revision_id AND NOT :dry_run
)
SELECT count(*) AS found FROM old
