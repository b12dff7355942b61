-- What became of the pairs that the run's latest publication wanted scored, and whether it is degraded or blocked.
SELECT p.degraded, p.blocked IS NOT NULL AS blocked,
       CAST(COALESCE(sum(t.scored), 0) AS bigint) AS pairs_scored,
       CAST(COALESCE(sum(t.from_ledger), 0) AS bigint) AS pairs_from_ledger,
       CAST(COALESCE(sum(t.refused), 0) AS bigint) AS pairs_refused,
       CAST(COALESCE(sum(t.missing), 0) AS bigint) AS pairs_missing,
       CAST(COALESCE(sum(t.left_out), 0) AS bigint) AS pairs_left_out
FROM rerank.publication p
LEFT JOIN rerank.ranking_topic t USING (publication_id)
WHERE p.publication_id = (SELECT max(publication_id) FROM rerank.publication WHERE run_id = :run_id)
GROUP BY p.publication_id, p.degraded, p.blocked
