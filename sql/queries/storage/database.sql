-- name: begin_reading
-- All statements of the transaction see one moment, and none of them can write.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: begin_writing
-- Each statement sees what was committed before it, whatever the server's default is.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED

-- name: limits
-- How long the transaction may wait for a lock, and idle between two statements; its times are UTC.
SELECT set_config('lock_timeout', :lock, true),
       set_config('idle_in_transaction_session_timeout', :idle, true),
       set_config('TimeZone', 'UTC', true)

-- name: asked_by
-- The person whom this transaction works for; columns `on_behalf_of` keep it.
SELECT set_config('rerank.asked_by', :person, true)

-- name: may_idle
-- The caller computes between two statements of its transaction.
SELECT set_config('idle_in_transaction_session_timeout', :idle, true)

-- name: end
-- Ends these sessions; what they had begun is rolled back.
SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS integer[])) AS s (pid)

-- name: copying
-- Sessions of ours that wait for their client in the middle of a COPY, for longer than a transaction may idle; and how
-- far it is: one that comes no further has a client that is frozen or gone, which no timeout of Postgres notices.
SELECT a.pid, p.bytes_processed
FROM pg_stat_activity a
JOIN pg_stat_progress_copy p USING (pid)
WHERE a.datname = current_database() AND a.usename = current_user AND a.application_name = current_setting('application_name')
  AND p.command = 'COPY FROM' AND a.wait_event = 'ClientRead'
  AND a.query_start < clock_timestamp() - CAST(:idle AS interval)
ORDER BY a.pid
