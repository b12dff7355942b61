-- What a run was made from; that it was, stays.
WITH topics AS (
    DELETE FROM rerank.run_topic WHERE run_id = :run_id
), metrics AS (
    DELETE FROM rerank.run_metric WHERE run_id = :run_id
), aside AS (
    DELETE FROM rerank.score_aside WHERE aside_for = :run_id
), attempts AS (
    DELETE FROM rerank.scoring_attempt WHERE run_id = :run_id
)
UPDATE rerank.run
SET members_path = NULL, members_sha256 = NULL, pairs_path = NULL, pairs_sha256 = NULL, light_path = NULL, light_sha256 = NULL
WHERE run_id = :run_id
