-- name: topics
-- The topics as the run has frozen them.
SELECT t.slug, v.query, v.queries, v.instruction, v.languages, v.must, v.must_not, v.candidate_limit, v.top_k,
       COALESCE(v.min_score, r.min_score) AS min_score, v.half_life_hours, v.max_per_source, v.diversity, v.active, v.topic_version_id, v.number,
       r.selected, r.filling, r.previous_scorer_id, r.left_out
FROM rerank.run_topic r
JOIN rerank.topic_version v USING (topic_version_id)
JOIN rerank.topic t USING (topic_id)
WHERE r.run_id = :run_id
ORDER BY t.slug

-- name: display
-- What frontends show of a revision; a link only if it is an http or https link. Its pictures are renditions, in their order.
SELECT r.revision_id, r.title, CASE WHEN r.url ~* '^https?://' THEN r.url END AS url, r.source,
       COALESCE(m.pictures, '{}') AS pictures, COALESCE(m.captions, '{}') AS captions
FROM rerank.revision r
LEFT JOIN LATERAL (
    SELECT array_agg(m.rendition ORDER BY m.place) AS pictures,
           array_agg(COALESCE(m.shown_caption, '') ORDER BY m.place) AS captions
    FROM rerank.revision_medium m
    WHERE m.revision_id = r.revision_id AND m.rendition IS NOT NULL
) m ON true
WHERE r.revision_id = ANY(CAST(:revision_ids AS bigint[]))
ORDER BY r.revision_id
