-- Whose vectors the run's recall may search.
UPDATE rerank.run SET embedder_id = :embedder_id WHERE run_id = :run_id AND frozen_at IS NULL
