-- No try of the run commits until the transaction ends.
SELECT run_id FROM rerank.run WHERE run_id = :run_id FOR NO KEY UPDATE
