-- Whether a scorer is registered.
SELECT scorer_id FROM rerank.scorer WHERE scorer_id = :scorer_id
