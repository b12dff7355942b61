-- A topic as the run has frozen it.
SELECT t.slug, v.query, v.queries, v.instruction, v.languages, v.must, v.must_not, v.candidate_limit, v.top_k,
       COALESCE(v.min_score, r.min_score) AS min_score, v.half_life_hours, v.active, v.topic_version_id, v.number,
       r.selected, r.filling, r.left_out, r.not_recalled, r.not_recalled_language
FROM rerank.run_topic r
JOIN rerank.topic_version v USING (topic_version_id)
JOIN rerank.topic t USING (topic_id)
WHERE r.run_id = :run_id AND r.slug = :slug
