-- What the budget kept from being scored.
SELECT count(*) AS topics, COALESCE(sum(left_out), 0) AS left_out FROM rerank.run_topic WHERE run_id = :run_id
