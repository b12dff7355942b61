-- How the scores that a run made are spread.
SELECT count(*) AS pairs, count(*) FILTER (WHERE NOT finite) AS not_finite,
       stddev_pop(CAST(logit AS double precision)) FILTER (WHERE finite) AS deviation,
       min(logit) FILTER (WHERE finite) AS least, max(logit) FILTER (WHERE finite) AS most
FROM (SELECT logit, logit NOT IN ('NaN', 'Infinity', '-Infinity') AS finite FROM rerank.pair_score WHERE run_id = :run_id) s
