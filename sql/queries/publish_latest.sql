-- The run's latest version, to tell whether a rerun gives the same rows.
SELECT p.publication_id, p.pipeline, p.run_id, p.version, p.rows_sha256, p.trimmed, p.blocked, p.withdrawn_at IS NOT NULL AS withdrawn,
       (SELECT COALESCE(sum(t.missing), 0) FROM rerank.ranking_topic t WHERE t.publication_id = p.publication_id) AS missing
FROM rerank.publication p
WHERE p.run_id = :run_id
ORDER BY p.version DESC
LIMIT 1
