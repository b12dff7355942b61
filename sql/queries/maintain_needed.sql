-- The files of the page, and those that its run was made from.
SELECT f.path
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
JOIN rerank.run u USING (run_id)
CROSS JOIN LATERAL (VALUES (p.parquet_path), (u.members_path), (u.pairs_path), (u.light_path)) AS f (path)
WHERE c.pipeline = :pipeline AND f.path IS NOT NULL
