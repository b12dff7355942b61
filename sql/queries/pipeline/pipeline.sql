-- name: take_overdue_fence
-- Take a fence for a late run, unless the run is published, or is at work on a stage by itself and not to be overtaken. A run that has not prepared
-- everything keeps its fence: its own try goes on beside the late page. Of such a run, say whether anything can be published,
-- and whether nobody waits for it: it has a late page, or a newer page is out.
WITH taken AS (
    UPDATE rerank.run SET fence = fence + 1, busy_since = clock_timestamp()
    WHERE run_id = :run_id AND published_at IS NULL AND prepared_at IS NOT NULL
      AND (busy_since IS NULL OR :overtake)
    RETURNING run_id, fence
)
SELECT r.published_at IS NOT NULL
       OR r.prepared_at IS NULL
          AND (EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = r.run_id)
               OR EXISTS (SELECT FROM rerank.pointer c JOIN rerank.publication p USING (publication_id)
                          WHERE c.pipeline = r.pipeline AND p.as_of > r.until)) AS published,
       r.prepared_at IS NOT NULL AS prepared,
       r.claimed_at IS NOT NULL AND COALESCE((
           SELECT bool_or(v.document_id IS NOT NULL OR q.revision_id IS NOT NULL)
           FROM rerank.revision v
           JOIN rerank.run u USING (run_id)
           LEFT JOIN rerank.quarantine q ON q.revision_id = v.revision_id AND q.stage = 'prepare'
           WHERE u.run_id = r.run_id OR u.pipeline = r.pipeline AND u.published_at IS NULL AND u.until <= r.until), true) AS begun,
       CASE WHEN r.prepared_at IS NULL THEN r.fence ELSE taken.fence END AS fence
FROM rerank.run r
LEFT JOIN taken USING (run_id)
WHERE r.run_id = :run_id

-- name: wait_shortly
-- How long this transaction may wait for a lock: somebody looks again, and knows what to do then.
SELECT set_config('lock_timeout', :lock, true)

-- name: end_holder
-- Ends the session of ours that has locked the run and has given no sign for so long, within a transaction or a COPY: a try that
-- stands still, or that has lost its machine.
SELECT pg_terminate_backend(a.pid)
FROM rerank.run r
JOIN pg_stat_activity a ON a.backend_xid = r.xmax
WHERE r.run_id = :run_id AND a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
  AND a.wait_event = 'ClientRead' AND a.state_change < clock_timestamp() - make_interval(secs => :patience_seconds)

-- name: note_overdue
-- The run's page is due, and nothing of the run can be published: what frontends see says that a newer page is overdue.
UPDATE rerank.run SET overdue_at = clock_timestamp() WHERE run_id = :run_id AND published_at IS NULL AND overdue_at IS NULL
