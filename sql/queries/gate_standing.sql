-- The page that stands, and how many of its topics are empty without the articles that must not be shown any more.
SELECT p.run_id, p.version, count(t.slug) AS topics,
       count(t.slug) FILTER (WHERE NOT EXISTS (
           SELECT FROM rerank.ranking r
           WHERE r.publication_id = t.publication_id AND r.slug = t.slug
             AND r.article_id <> ALL(CAST(:hidden AS text[])))) AS empty
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
LEFT JOIN rerank.ranking_topic t USING (publication_id)
WHERE c.pipeline = :pipeline
GROUP BY p.run_id, p.version
