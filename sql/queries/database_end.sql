-- Ends these sessions; what they had begun is rolled back.
SELECT pg_terminate_backend(pid) FROM unnest(CAST(:pids AS integer[])) AS s (pid)
