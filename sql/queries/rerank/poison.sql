-- name: begin
-- Leave the mark of a try; a row that is already there belongs to a try that failed or vanished.
INSERT INTO rerank.scoring_attempt AS a (run_id, shard)
VALUES (:run_id, :shard)
ON CONFLICT (run_id, shard) DO UPDATE
SET failures = a.failures + 1, meetings = 0, begun_at = now(),
    alone_times = CASE WHEN a.alone_query_id IS NULL THEN 0 ELSE a.alone_times + 1 END
RETURNING failures, alone_query_id, alone_document_id, alone_times

-- name: end
-- Remove the mark: the try came to its end, whatever it left unscored.
DELETE FROM rerank.scoring_attempt WHERE run_id = :run_id AND shard = :shard

-- name: meet
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

-- name: alone
-- Name the pair that is in the engine by itself; null: there is none. The same pair again keeps its count.
UPDATE rerank.scoring_attempt
SET alone_times = CASE
        WHEN (alone_query_id, alone_document_id) IS NOT DISTINCT FROM (CAST(:query_id AS bigint), CAST(:document_id AS bigint))
        THEN alone_times + :blame ELSE 0 END,
    alone_query_id = :query_id, alone_document_id = :document_id
WHERE run_id = :run_id AND shard = :shard
