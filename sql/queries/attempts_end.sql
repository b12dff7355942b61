-- The try came to its end, whatever it left unscored.
DELETE FROM rerank.scoring_attempt WHERE run_id = :run_id AND shard = :shard
