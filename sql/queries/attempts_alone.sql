-- Which pair is in the engine by itself; null: none. The same pair again keeps its count.
UPDATE rerank.scoring_attempt
SET alone_times = CASE
        WHEN (alone_query_id, alone_document_id) IS NOT DISTINCT FROM (CAST(:query_id AS bigint), CAST(:document_id AS bigint))
        THEN alone_times + :blame ELSE 0 END,
    alone_query_id = :query_id, alone_document_id = :document_id
WHERE run_id = :run_id AND shard = :shard
