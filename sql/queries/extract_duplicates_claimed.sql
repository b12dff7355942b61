-- Articles that this run has claimed and that the source view shows more than once.
SELECT k.article_id, count(*) AS rows
FROM {keys} k
WHERE k.article_id IN (SELECT r.article_id FROM rerank.revision r WHERE r.run_id = :run_id)
GROUP BY k.article_id
HAVING count(*) > 1
ORDER BY k.article_id
LIMIT 3
