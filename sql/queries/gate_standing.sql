-- The page that stands, and how many of its topics are empty.
SELECT p.run_id, p.version, count(t.slug) AS topics, count(t.slug) FILTER (WHERE t.ranked = 0) AS empty
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
LEFT JOIN rerank.ranking_topic t USING (publication_id)
WHERE c.pipeline = :pipeline
GROUP BY p.run_id, p.version
