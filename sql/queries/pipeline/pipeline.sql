-- name: take_overdue_fence
-- Take a fence for a late run, unless the run is published, has nothing to publish yet, or is at work on a stage by itself.
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
