-- All that the newest run wanted of this topic is scored: it is filled, and under this scorer alone.
WITH overtaken AS (
    DELETE FROM rerank.fill
    WHERE pipeline = :pipeline AND slug = :slug AND (recall_digest <> :recall_digest OR scorer_id <> :scorer_id)
)
INSERT INTO rerank.fill (pipeline, slug, recall_digest, scorer_id, run_id)
VALUES (:pipeline, :slug, :recall_digest, :scorer_id, :run_id)
ON CONFLICT (pipeline, slug, recall_digest, scorer_id) DO UPDATE SET run_id = EXCLUDED.run_id, filled_at = now()
