-- How many scores of a run count for nothing.
SELECT count(*) AS distrusted FROM rerank.score_aside WHERE aside_for = :run_id AND run_id = :run_id
