-- name: add
-- Writes the record of a training that has ended.
INSERT INTO rerank.training (pipeline, base_scorer_id, scorer_id, verdict, sentence, record, began_at)
VALUES (:pipeline, :base_scorer_id, :scorer_id, :verdict, :sentence, CAST(:record AS jsonb), :began_at)
RETURNING training_id

-- name: list
-- The trainings of a pipeline, the newest first, each with its proposal and where that is used now.
SELECT t.training_id, t.pipeline, t.base_scorer_id, t.scorer_id, t.verdict, t.sentence, t.record, t.began_at, t.ended_at,
       s.location,
       COALESCE((SELECT array_agg(u.pipeline ORDER BY u.pipeline)
                 FROM (SELECT DISTINCT ON (p.pipeline, p.model) p.pipeline, p.scorer_id
                       FROM rerank.promotion p ORDER BY p.pipeline, p.model, p.promotion_id DESC) u
                 WHERE u.scorer_id = t.scorer_id), '{}') AS used_by
FROM rerank.training t
LEFT JOIN rerank.scorer s ON s.scorer_id = t.scorer_id
WHERE t.pipeline = :pipeline
ORDER BY t.training_id DESC
LIMIT :most
