-- name: runs
-- Impressions and opens of two pipelines by run, from the time on that both have had a page. A row has at most as many opens
-- as impressions: an impression is opened or not.
WITH rows AS (
    SELECT pipeline, run_id, slug, rank, revision_id,
           count(*) FILTER (WHERE event = 'impression') AS impressions,
           count(*) FILTER (WHERE event = 'open') AS opens,
           min(happened_at) AS first_at
    FROM rerank.feedback
    WHERE pipeline IN (:first, :second)
      AND happened_at >= (SELECT max(began) FROM (SELECT min(published_at) AS began FROM rerank.publication
                                                  WHERE pipeline IN (:first, :second) GROUP BY pipeline) b)
    GROUP BY pipeline, run_id, slug, rank, revision_id
)
SELECT pipeline, run_id, sum(impressions) AS impressions, sum(least(opens, impressions)) AS opens,
       sum(greatest(opens - impressions, 0)) AS excess
FROM rows
GROUP BY pipeline, run_id
HAVING sum(impressions) > 0
ORDER BY pipeline, min(first_at), run_id
