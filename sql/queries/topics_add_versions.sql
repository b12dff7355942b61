-- Adds one version to each of these topics; older ones stay as they are.
INSERT INTO rerank.topic_version (topic_id, number, query, queries, instruction, languages, must, must_not,
                                  candidate_limit, top_k, min_score, half_life_hours, active)
SELECT t.topic_id, v.number, v.query, v.queries, v.instruction, v.languages, v.must, v.must_not,
       v.candidate_limit, v.top_k, v.min_score, v.half_life_hours, v.active
FROM jsonb_to_recordset(CAST(:versions AS jsonb)) AS v (
    slug text, number integer, query text, queries jsonb, instruction text, languages text[], must text[],
    must_not text[], candidate_limit integer, top_k integer, min_score double precision,
    half_life_hours double precision, active boolean
)
JOIN rerank.topic t ON t.pipeline = :pipeline AND t.slug = v.slug
ORDER BY v.slug
