-- Each topic's articles in order, to compare two publications by.
SELECT t.slug, t.state,
       COALESCE((SELECT array_agg(r.article_id ORDER BY r.rank)
                 FROM rerank.ranking r
                 WHERE r.publication_id = t.publication_id AND r.slug = t.slug), '{}') AS article_ids
FROM rerank.ranking_topic t
WHERE t.publication_id = :publication_id
ORDER BY t.slug
