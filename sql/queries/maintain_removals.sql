-- Files and folders of the pipeline that have to go, and whether their time has come.
SELECT path, reason, due_at <= now() AS due
FROM rerank.store_removal
WHERE starts_with(path, :pipeline || '/')
ORDER BY path
