-- How the scores that a run made are spread, all together (shard null) and by shard; with the margin of the canary that
-- each shard's engine showed, null where none was kept.
SELECT s.shard, s.pairs, s.not_finite, s.deviation, margin.value AS margin
FROM (
    SELECT shard, count(*) AS pairs, count(*) FILTER (WHERE NOT finite) AS not_finite,
           stddev_pop(CAST(logit AS double precision)) FILTER (WHERE finite) AS deviation
    FROM (SELECT shard, logit, logit NOT IN ('NaN', 'Infinity', '-Infinity') AS finite
          FROM rerank.pair_score WHERE run_id = :run_id) made
    GROUP BY GROUPING SETS ((shard), ())
) s
LEFT JOIN rerank.run_metric margin
       ON margin.run_id = :run_id AND margin.stage = 'rerank[' || s.shard || ']' AND margin.name = 'canary_margin'
ORDER BY s.shard NULLS FIRST
