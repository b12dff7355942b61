-- name: take_overdue_fence
-- A try for a run that is late, unless it is published, has nothing to publish yet, or a try of its own is at work.
WITH taken AS (
    UPDATE rerank.run SET fence = fence + 1, busy_since = clock_timestamp()
    WHERE run_id = :run_id AND published_at IS NULL AND prepared_at IS NOT NULL
      AND (busy_since IS NULL OR busy_since < clock_timestamp() - make_interval(secs => :patience_seconds))
    RETURNING run_id, fence
)
SELECT r.published_at IS NOT NULL AS published, r.prepared_at IS NOT NULL AS prepared, taken.fence
FROM rerank.run r
LEFT JOIN taken USING (run_id)
WHERE r.run_id = :run_id
