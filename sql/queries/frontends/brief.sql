-- name: topic
-- A topic as the current page has it.
SELECT t.query, t.as_of, t.state, t.page_degraded, p.blocked IS NOT NULL AS blocked, t.missing, t.overdue_since, t.run_id, t.version,
       t.publication_id
FROM rerank.current_topic t
JOIN rerank.publication p USING (publication_id)
WHERE t.pipeline = :pipeline AND t.topic = :topic

-- name: topics
-- The topics of the current page.
SELECT topic FROM rerank.current_topic WHERE pipeline = :pipeline ORDER BY topic

-- name: rows
-- A topic's rows with their texts; none of an article that is hidden, or that its source does not have any more. Text, terms and
-- signature are null if the prepared text is gone.
SELECT r.rank, r.article_id, r.title, r.url, r.source, r.copy_sources, r.lang, r.published_at, r.ranked_by, r.logit, r.probability,
       r.flags, d.text, d.terms, d.signature
FROM rerank.current_ranking r
LEFT JOIN rerank.document d ON d.document_id = r.document_id
WHERE r.pipeline = :pipeline AND r.topic = :topic
  AND NOT EXISTS (SELECT FROM rerank.hidden h WHERE h.pipeline = r.pipeline AND h.article_id = r.article_id)
ORDER BY r.rank
