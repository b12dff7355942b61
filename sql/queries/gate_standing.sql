-- The page that stands: which of these topics it has, and how many of them are empty without the articles that must not be
-- shown any more.
SELECT p.run_id, array_remove(array_agg(t.slug), NULL) AS slugs,
       count(t.slug) FILTER (WHERE NOT EXISTS (
           SELECT FROM rerank.ranking r
           WHERE r.publication_id = t.publication_id AND r.slug = t.slug
             AND r.article_id <> ALL(CAST(:hidden AS text[])))) AS empty
FROM rerank.pointer c
JOIN rerank.publication p USING (publication_id)
LEFT JOIN rerank.ranking_topic t ON t.publication_id = p.publication_id AND t.slug = ANY(CAST(:slugs AS text[]))
WHERE c.pipeline = :pipeline
GROUP BY p.run_id
