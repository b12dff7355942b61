-- How the scoring of a run went; also where its scores count for nothing.
SELECT count(*) AS scored,
       percentile_cont(0.50) WITHIN GROUP (ORDER BY latency_ms) AS latency_ms_p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) AS latency_ms_p99,
       count(*) / CAST(NULLIF(EXTRACT(EPOCH FROM max(scored_at) - min(scored_at)), 0) AS double precision) AS pairs_per_second,
       CAST(avg(logit) AS double precision) AS logit_mean,
       percentile_cont(0.10) WITHIN GROUP (ORDER BY logit) AS logit_p10,
       percentile_cont(0.50) WITHIN GROUP (ORDER BY logit) AS logit_p50,
       percentile_cont(0.90) WITHIN GROUP (ORDER BY logit) AS logit_p90,
       (SELECT CAST(EXTRACT(EPOCH FROM published_at - until) AS double precision) FROM rerank.run WHERE run_id = :run_id) AS page_age_seconds
FROM (SELECT logit, latency_ms, scored_at FROM rerank.pair_score WHERE run_id = :run_id
      UNION ALL
      SELECT logit, latency_ms, scored_at FROM rerank.score_aside WHERE aside_for = :run_id AND run_id = :run_id) made
