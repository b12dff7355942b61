-- name: speed
-- How fast this scorer was when it last scored, and which share of the tokens came from the prefix cache.
SELECT load.value AS load_seconds, score.value / tokens.value AS seconds_per_token, cached.value / tokens.value AS cached_share
FROM rerank.run r
JOIN rerank.run_metric tokens ON tokens.run_id = r.run_id AND tokens.stage LIKE 'rerank%' AND tokens.name = 'prompt_tokens'
JOIN rerank.run_metric score ON score.run_id = r.run_id AND score.stage = tokens.stage AND score.name = 'score_seconds'
JOIN rerank.run_metric cached ON cached.run_id = r.run_id AND cached.stage = tokens.stage AND cached.name = 'cached_tokens'
JOIN rerank.run_metric load ON load.run_id = r.run_id AND load.stage = tokens.stage AND load.name = 'load_seconds'
WHERE r.scorer_id = :scorer_id AND tokens.value > 0
ORDER BY tokens.recorded_at DESC
LIMIT 1

-- name: has_any
-- Whether one of these pairs has a score; if a run is given, a score that this run made.
SELECT EXISTS (
    SELECT
    FROM unnest(CAST(:query_ids AS bigint[]), CAST(:document_ids AS bigint[]), CAST(:months AS date[])) AS p (query_id, document_id, month)
    JOIN rerank.pair_score s
      ON s.scorer_id = :scorer_id AND s.query_id = p.query_id AND s.document_id = p.document_id AND s.month = p.month
    WHERE CAST(:only_run_id AS bigint) IS NULL OR s.run_id = :only_run_id
) AS found
