-- When the files that were marked now have to go.
SELECT now() + make_interval(secs => :grace_seconds) AS due_at
