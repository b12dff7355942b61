-- Revisions that cannot be prepared, with the reason.
INSERT INTO rerank.quarantine (revision_id, stage, reason)
SELECT revision_id, 'prepare', reason
FROM unnest(CAST(:revision_ids AS bigint[]), CAST(:reasons AS text[])) AS p (revision_id, reason)
ORDER BY revision_id
ON CONFLICT DO NOTHING
