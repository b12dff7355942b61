-- Whether the run's canaries and counts were kept, and whether it has been published before.
SELECT u.gated, EXISTS (SELECT FROM rerank.publication p WHERE p.run_id = u.run_id) AS published
FROM rerank.run u
WHERE u.run_id = :run_id
