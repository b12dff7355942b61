-- What the ledger has of a run, by shard: whichever try scored it, and by what.
SELECT shard, count(*) AS scored, min(scored_at) AS first_at, max(scored_at) AS last_at, min(engine) AS engine, min(device) AS device
FROM rerank.pair_score
WHERE run_id = :run_id
GROUP BY shard
ORDER BY shard
