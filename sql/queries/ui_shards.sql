-- What was scored of a run, by shard, whichever try scored it, and by what; also where it counts for nothing.
SELECT shard, count(*) AS scored, count(*) FILTER (WHERE distrusted) AS distrusted, min(scored_at) AS first_at, max(scored_at) AS last_at,
       min(engine) AS engine, min(device) AS device
FROM (SELECT shard, scored_at, engine, device, false AS distrusted FROM rerank.pair_score WHERE run_id = :run_id
      UNION ALL
      SELECT shard, scored_at, engine, device, true FROM rerank.score_aside WHERE aside_for = :run_id AND run_id = :run_id) made
GROUP BY shard
ORDER BY shard
