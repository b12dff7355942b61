-- Articles that the source view does not have any more.
SELECT w.article_id
FROM unnest(CAST(:article_ids AS text[])) AS w (article_id)
WHERE NOT EXISTS (SELECT FROM {view} s WHERE s.article_id = w.article_id)
ORDER BY w.article_id
