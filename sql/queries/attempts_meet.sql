-- Two tries that score the same pairs have met. They count it in one row that both know: that of the lower run and shard.
WITH others AS (
    SELECT s.run_id, s.shard
    FROM unnest(CAST(:query_ids AS bigint[]), CAST(:document_ids AS bigint[]), CAST(:months AS date[])) AS p (query_id, document_id, month)
    JOIN rerank.pair_score s
      ON s.scorer_id = :scorer_id AND s.query_id = p.query_id AND s.document_id = p.document_id AND s.month = p.month
    UNION
    SELECT :run_id, :shard
    ORDER BY 1, 2
    LIMIT 1
)
UPDATE rerank.scoring_attempt a SET meetings = a.meetings + 1
FROM others o
WHERE a.run_id = o.run_id AND a.shard = o.shard
RETURNING a.meetings
