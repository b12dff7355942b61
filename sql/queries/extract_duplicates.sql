-- Articles that the source view shows more than once.
SELECT article_id, count(*) AS rows FROM {rows} GROUP BY article_id HAVING count(*) > 1 ORDER BY article_id LIMIT 3
