-- Names the topics that a pipeline has not had before.
INSERT INTO rerank.topic (pipeline, slug)
SELECT :pipeline, slug
FROM unnest(CAST(:slugs AS text[])) AS slug
ORDER BY slug
