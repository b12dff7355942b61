-- Where a cluster stands in each topic of a publication, by the text that is scored for it: its row, and its score where there is one. Topics that rank it
-- come first, then those that have scored it.
SELECT t.slug, t.state, v.query, COALESCE(v.min_score, f.min_score) AS min_score, v.top_k, v.half_life_hours, v.languages, r.rank, r.article_id, r.ranked_by,
       r.rank_score, r.light_score, r.truncated, COALESCE(r.logit, s.logit) AS logit, s.scored_at, s.run_id AS scored_by_run,
       x.reason AS refused, last.rank_score AS last_rank_score, a.run_id AS distrusted, count(*) OVER () AS total
FROM rerank.ranking_topic t
JOIN rerank.topic_version v USING (topic_version_id)
JOIN rerank.publication p USING (publication_id)
LEFT JOIN rerank.run_topic f ON f.run_id = p.run_id AND f.slug = t.slug
LEFT JOIN rerank.ranking r ON r.publication_id = t.publication_id AND r.slug = t.slug
      AND COALESCE(r.scored_document_id, r.document_id) = :document_id
LEFT JOIN rerank.query q ON q.instruction = v.instruction AND q.query = COALESCE(v.queries ->> :lang, v.query)
LEFT JOIN rerank.pair_score s
       ON s.scorer_id = t.scorer_id AND s.query_id = q.query_id AND s.document_id = :document_id
      AND s.month = (SELECT month FROM rerank.document WHERE document_id = :document_id)
LEFT JOIN rerank.refused_pair x ON x.scorer_id = t.scorer_id AND x.query_id = q.query_id AND x.document_id = :document_id
LEFT JOIN LATERAL (   -- a score by a run that the gate blocks
    SELECT o.run_id
    FROM rerank.score_aside o
    WHERE o.document_id = :document_id AND o.query_id = q.query_id AND o.run_id = o.aside_for
      AND (SELECT g.verdict FROM rerank.gate g WHERE g.run_id = o.run_id ORDER BY g.gate_id DESC LIMIT 1) = 'blocked'
    ORDER BY o.run_id DESC LIMIT 1
) a ON s.logit IS NULL
LEFT JOIN LATERAL (
    SELECT y.rank_score FROM rerank.ranking y
    WHERE y.publication_id = t.publication_id AND y.slug = t.slug AND y.ranked_by = 'model'
    ORDER BY y.rank DESC LIMIT 1
) last ON s.logit IS NOT NULL AND r.rank IS NULL
WHERE t.publication_id = :publication_id
ORDER BY r.rank IS NULL, r.ranked_by DESC, r.rank, s.logit DESC NULLS LAST, x.reason, t.slug
LIMIT :limit OFFSET :offset
