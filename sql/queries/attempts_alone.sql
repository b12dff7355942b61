-- Which pair is in the engine by itself; null: none.
UPDATE rerank.scoring_attempt
SET alone_query_id = :query_id, alone_document_id = :document_id
WHERE run_id = :run_id AND shard = :shard
