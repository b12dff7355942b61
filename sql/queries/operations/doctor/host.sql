-- name: known
-- The hosts of a pipeline that were seen in the last day, by stage, those with a fault first.
SELECT host, stage, fault, faulty_since, seen_at
FROM rerank.scoring_host
WHERE pipeline = :pipeline AND seen_at > now() - interval '1 day'
ORDER BY fault IS NULL, stage DESC, host
