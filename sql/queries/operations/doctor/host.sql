-- name: known
-- The hosts of a pipeline that were seen in the last day, those with a fault first.
SELECT host, fault, faulty_since
FROM rerank.scoring_host
WHERE pipeline = :pipeline AND seen_at > now() - interval '1 day'
ORDER BY fault IS NULL, host
