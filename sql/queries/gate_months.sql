-- The months of the scores that were set aside for a run.
SELECT DISTINCT month FROM rerank.score_aside WHERE aside_for = :run_id ORDER BY month
