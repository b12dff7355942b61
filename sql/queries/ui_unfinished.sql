-- Tries to score a shard that began and have not come to their end.
SELECT shard, failures, alone_times, begun_at FROM rerank.scoring_attempt WHERE run_id = :run_id ORDER BY shard
