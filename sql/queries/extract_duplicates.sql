-- Articles that the source view shows more than once.
SELECT k.article_id, count(*) AS rows
FROM {keys} k
WHERE k.article_id IS NOT NULL
GROUP BY k.article_id
HAVING count(*) > 1
ORDER BY k.article_id
LIMIT 3
