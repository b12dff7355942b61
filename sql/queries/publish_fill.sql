-- The best of the whole freshness window is scored for this topic.
INSERT INTO rerank.fill (pipeline, slug, queries_digest, scorer_id, run_id)
VALUES (:pipeline, :slug, :queries_digest, :scorer_id, :run_id)
ON CONFLICT (pipeline, slug, queries_digest, scorer_id) DO UPDATE SET run_id = EXCLUDED.run_id, filled_at = now()
