-- name: since
-- When the oldest of the newest articles of a pipeline was first ingested; nothing if there are not so many.
SELECT first_ingested_at AS since
FROM rerank.revision
WHERE pipeline = :pipeline AND first_ingested_at >= :fresh_since AND first_ingested_at < :until
ORDER BY first_ingested_at DESC
OFFSET :most LIMIT 1

-- name: scorer
-- The scorer of the pipeline's latest run.
SELECT scorer_id
FROM rerank.run
WHERE pipeline = :pipeline AND scorer_id IS NOT NULL
ORDER BY until DESC, run_id DESC
LIMIT 1

-- name: speed
-- Seconds that a pair took this scorer when it last scored, without the start of the engine.
SELECT seconds.value / scored.value AS seconds_a_pair
FROM rerank.run r
JOIN rerank.run_metric scored ON scored.run_id = r.run_id AND scored.stage LIKE 'rerank%' AND scored.name = 'scored'
JOIN rerank.run_metric seconds ON seconds.run_id = r.run_id AND seconds.stage = scored.stage AND seconds.name = 'score_seconds'
WHERE r.scorer_id = :scorer_id AND scored.value > 0
ORDER BY scored.recorded_at DESC
LIMIT 1

-- name: current
-- The scored texts on the current page, by topic.
SELECT r.slug, array_agg(DISTINCT COALESCE(r.scored_document_id, r.document_id)) AS document_ids
FROM rerank.pointer c
JOIN rerank.ranking r USING (publication_id)
WHERE c.pipeline = :pipeline
GROUP BY r.slug
ORDER BY r.slug
