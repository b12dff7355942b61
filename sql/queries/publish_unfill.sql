-- Pairs of this topic stayed unscored: the next run fills it again.
DELETE FROM rerank.fill
WHERE pipeline = :pipeline AND slug = :slug AND queries_digest = :queries_digest AND scorer_id = :scorer_id
