-- Those of these articles that are hidden now.
SELECT DISTINCT h.article_id
FROM rerank.hidden h
WHERE h.pipeline = :pipeline AND h.article_id = ANY(CAST(:article_ids AS text[]))
ORDER BY h.article_id
