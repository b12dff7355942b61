-- name: current
-- The newest version of each topic of a pipeline, by slug; only those in use if :active_only.
SELECT t.slug, v.query, v.queries, v.instruction, v.languages, v.must, v.must_not, v.candidate_limit, v.top_k,
       v.min_score, v.half_life_hours, v.max_per_source, v.diversity, v.active, v.topic_version_id, v.number
FROM rerank.topic t
JOIN LATERAL (
    SELECT *
    FROM rerank.topic_version
    WHERE topic_id = t.topic_id
    ORDER BY number DESC
    LIMIT 1
) v ON true
WHERE t.pipeline = :pipeline AND (v.active OR NOT :active_only)
ORDER BY t.slug

-- name: pipelines
-- The pipelines that have a topic or a run, by name.
SELECT pipeline FROM rerank.topic
UNION
SELECT pipeline FROM rerank.run
ORDER BY pipeline

-- name: lock
-- Holds off every other change of the pipeline's topics until the transaction ends.
SELECT rerank.take_turn('topics ' || :pipeline)

-- name: add
-- Names the topics that a pipeline has not had before.
INSERT INTO rerank.topic (pipeline, slug)
SELECT :pipeline, slug
FROM unnest(CAST(:slugs AS text[])) AS slug
ORDER BY slug

-- name: add_versions
-- Adds one version to each of these topics; older ones stay as they are.
INSERT INTO rerank.topic_version (topic_id, number, query, queries, instruction, languages, must, must_not,
                                  candidate_limit, top_k, min_score, half_life_hours, max_per_source, diversity, active)
SELECT t.topic_id, v.number, v.query, v.queries, v.instruction, v.languages, v.must, v.must_not,
       v.candidate_limit, v.top_k, v.min_score, v.half_life_hours, v.max_per_source, v.diversity, v.active
FROM jsonb_to_recordset(CAST(:versions AS jsonb)) AS v (
    slug text, number integer, query text, queries jsonb, instruction text, languages text[], must text[],
    must_not text[], candidate_limit integer, top_k integer, min_score double precision,
    half_life_hours double precision, max_per_source integer, diversity double precision, active boolean
)
JOIN rerank.topic t ON t.pipeline = :pipeline AND t.slug = v.slug
ORDER BY v.slug

-- name: add_queries
-- Queries that are not known yet, in digest order: concurrent runs cannot deadlock.
INSERT INTO rerank.query (digest, instruction, query)
SELECT digest, instruction, query
FROM unnest(CAST(:digests AS bytea[]), CAST(:instructions AS text[]), CAST(:queries AS text[])) AS q (digest, instruction, query)
ORDER BY digest
ON CONFLICT (digest) DO NOTHING

-- name: queries
-- The ids of queries.
SELECT digest, query_id FROM rerank.query WHERE digest = ANY(CAST(:digests AS bytea[])) ORDER BY query_id
