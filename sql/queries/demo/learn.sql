-- name: arrive
-- The sample's articles as if each had come when it was published.
UPDATE rerank.article SET ingested_at = published_at

-- name: pages
-- When the pages of the demo begin and end: hours in which there is something to rank.
SELECT date_trunc('hour', min(ingested_at)) + interval '12 hours' AS first, date_trunc('hour', max(ingested_at)) AS last
FROM rerank.article

-- name: rows
-- What readers see: the rows of every page, with the age in hours.
SELECT p.run_id, r.slug AS topic, r.rank, r.revision_id, r.article_id,
       EXTRACT(EPOCH FROM p.as_of - COALESCE(r.began_at, r.published_at, r.first_ingested_at)) / 3600 AS age
FROM rerank.publication p
JOIN rerank.ranking r USING (publication_id)
WHERE p.pipeline = :pipeline
ORDER BY p.as_of, r.slug, r.rank

-- name: training
-- What became of the latest training.
SELECT verdict, sentence, scorer_id FROM rerank.training WHERE pipeline = :pipeline ORDER BY training_id DESC LIMIT 1
