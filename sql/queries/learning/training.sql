-- name: add
-- Writes the record of a training that has ended.
INSERT INTO rerank.training (pipeline, base_scorer_id, scorer_id, verdict, sentence, record, began_at)
VALUES (:pipeline, :base_scorer_id, :scorer_id, :verdict, :sentence, CAST(:record AS jsonb), :began_at)
RETURNING training_id
