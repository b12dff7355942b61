-- Files that have to go, once nobody can still be reading them; an earlier date stands.
INSERT INTO rerank.store_removal (path, due_at, reason)
SELECT path, now() + make_interval(secs => :grace_seconds), :reason
FROM unnest(CAST(:paths AS text[])) AS p (path)
ORDER BY path
ON CONFLICT (path) DO NOTHING
