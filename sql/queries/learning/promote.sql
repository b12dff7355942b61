-- name: scorer
-- A registered scorer, and whether a training proposed it.
SELECT s.scorer_id, s.digest, s.location,
       EXISTS (SELECT FROM rerank.training t WHERE t.scorer_id = s.scorer_id AND t.verdict = 'proposed') AS proposed
FROM rerank.scorer s
WHERE s.scorer_id = :scorer_id

-- name: add
-- From now on, runs of the pipeline take this scorer in place of the model that its settings name.
INSERT INTO rerank.promotion (pipeline, model, scorer_id, location, kind, reason)
VALUES (:pipeline, :model, :scorer_id, :location, :kind, :reason)
RETURNING actor, on_behalf_of, promoted_at

-- name: list
-- Who has put which scorer in place of a pipeline's model, and why; the newest first.
SELECT promotion_id, pipeline, model, scorer_id, location, kind, reason, actor, on_behalf_of, promoted_at
FROM rerank.promotion
WHERE pipeline = :pipeline
ORDER BY promotion_id DESC
LIMIT :most

-- name: trainings
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
