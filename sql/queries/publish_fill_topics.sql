-- All that the newest run wanted of these topics is scored: they are filled, and under this scorer alone.
WITH whole AS (
    SELECT slug, recall_digest FROM unnest(CAST(:slugs AS text[]), CAST(:recall_digests AS bytea[])) AS w (slug, recall_digest)
), overtaken AS (
    DELETE FROM rerank.fill f USING whole w
    WHERE f.pipeline = :pipeline AND f.slug = w.slug AND (f.recall_digest <> w.recall_digest OR f.scorer_id <> :scorer_id)
)
INSERT INTO rerank.fill (pipeline, slug, recall_digest, scorer_id, run_id)
SELECT :pipeline, slug, recall_digest, :scorer_id, :run_id FROM whole ORDER BY slug
ON CONFLICT (pipeline, slug, recall_digest, scorer_id) DO UPDATE SET run_id = EXCLUDED.run_id, filled_at = now()
