-- name: scorer
-- A registered scorer, and whether a training proposed it.
SELECT s.scorer_id, s.digest, s.location,
       EXISTS (SELECT FROM rerank.training t WHERE t.scorer_id = s.scorer_id AND t.verdict = 'proposed') AS proposed
FROM rerank.scorer s
WHERE s.scorer_id = :scorer_id

-- name: add
-- From now on, runs of the pipeline take this scorer in place of the model that its settings name.
INSERT INTO rerank.promotion (pipeline, model, scorer_id, location, kind, reason, on_behalf_of)
VALUES (:pipeline, :model, :scorer_id, :location, :kind, :reason, :on_behalf_of)
RETURNING promotion_id, actor, promoted_at

-- name: list
-- Who has put which scorer in place of a pipeline's model, and why; the newest first.
SELECT promotion_id, pipeline, model, scorer_id, location, kind, reason, actor, on_behalf_of, promoted_at
FROM rerank.promotion
WHERE pipeline = :pipeline
ORDER BY promotion_id DESC
LIMIT :most
