-- The newest version of each topic of a pipeline, by slug; only those in use where :active_only.
SELECT t.slug, v.query, v.queries, v.instruction, v.languages, v.must, v.must_not, v.candidate_limit, v.top_k,
       v.min_score, v.half_life_hours, v.active, v.topic_version_id, v.number
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
