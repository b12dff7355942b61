-- Each shard that a run has scores of, and what its engine's canary showed; null where none was kept.
SELECT s.shard, margin.value AS margin
FROM (SELECT DISTINCT shard FROM rerank.pair_score WHERE run_id = :run_id) s
LEFT JOIN rerank.run_metric margin
       ON margin.run_id = :run_id AND margin.stage = 'rerank[' || s.shard || ']' AND margin.name = 'canary_margin'
ORDER BY s.shard
