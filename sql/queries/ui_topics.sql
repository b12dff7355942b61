-- Topics of a publication, one page of them: all, the one that is asked for, or those in a state.
SELECT t.slug, v.query, v.number, v.instruction, v.languages, v.top_k, COALESCE(v.min_score, f.min_score) AS min_score, v.half_life_hours, t.state,
       t.candidates, t.from_ledger, t.scored, t.refused, t.missing, t.left_out, t.ranked, count(*) OVER () AS total
FROM rerank.ranking_topic t
JOIN rerank.topic_version v USING (topic_version_id)
JOIN rerank.publication p USING (publication_id)
LEFT JOIN rerank.run_topic f ON f.run_id = p.run_id AND f.slug = t.slug
WHERE t.publication_id = :publication_id
  AND (CAST(:slug AS text) IS NULL OR t.slug = :slug)
  AND (CAST(:state AS text) IS NULL OR t.state = :state)
ORDER BY t.slug
LIMIT :limit OFFSET :offset
