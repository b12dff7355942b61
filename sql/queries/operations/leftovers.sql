-- name: embedders
-- The embedders that runs of the pipeline have embedded with; `in_use`: the newest such run of some pipeline did.
SELECT e.digest, e.dimensions,
       e.embedder_id IN (SELECT DISTINCT ON (n.pipeline) n.embedder_id FROM rerank.run n
                         WHERE n.embedder_id IS NOT NULL ORDER BY n.pipeline, n.run_id DESC) AS in_use
FROM rerank.embedder e
WHERE EXISTS (SELECT FROM rerank.run u WHERE u.pipeline = :pipeline AND u.embedder_id = e.embedder_id)
ORDER BY e.embedder_id

-- name: named
-- Every file of the store that a row of the pipeline names; if a run is given, only the files of that run.
SELECT p.parquet_path AS path
FROM rerank.publication p
WHERE p.pipeline = :pipeline AND (CAST(:run_id AS bigint) IS NULL OR p.run_id = :run_id)
UNION ALL
SELECT f.path
FROM rerank.run u
CROSS JOIN LATERAL (VALUES (u.members_path), (u.pairs_path), (u.light_path)) AS f (path)
WHERE u.pipeline = :pipeline AND (CAST(:run_id AS bigint) IS NULL OR u.run_id = :run_id) AND f.path IS NOT NULL

-- name: removals
-- Files and folders of the pipeline that have to go, and whether their time has come.
SELECT path, reason, due_at <= now() AS due
FROM rerank.store_removal
WHERE starts_with(path, :pipeline || '/')
ORDER BY path

-- name: needed
-- The files of the page, and those that its run was made from.
SELECT f.path
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.run u USING (run_id)
CROSS JOIN LATERAL (VALUES (p.parquet_path), (u.members_path), (u.pairs_path), (u.light_path)) AS f (path)
WHERE c.pipeline = :pipeline AND f.path IS NOT NULL

-- name: removed
-- These are gone.
DELETE FROM rerank.store_removal WHERE path = ANY(CAST(:paths AS text[]))
