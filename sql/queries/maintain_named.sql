-- Every file of the store that a row of the pipeline names; of one run only, where it is given.
SELECT p.parquet_path AS path
FROM rerank.publication p
WHERE p.pipeline = :pipeline AND (CAST(:run_id AS bigint) IS NULL OR p.run_id = :run_id)
UNION ALL
SELECT f.path
FROM rerank.run u
CROSS JOIN LATERAL (VALUES (u.members_path), (u.pairs_path), (u.light_path)) AS f (path)
WHERE u.pipeline = :pipeline AND (CAST(:run_id AS bigint) IS NULL OR u.run_id = :run_id) AND f.path IS NOT NULL
