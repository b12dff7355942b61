-- A checkpoint that was moved, or registered again, is the one that is meant by its place from now on.
UPDATE rerank.scorer
SET location = :location, registered_at = now()
WHERE scorer_id = :scorer_id
