-- Articles of the window that the source does not have any more; the time stays that of the first notice.
INSERT INTO rerank.deleted (pipeline, article_id)
SELECT :pipeline, article_id FROM unnest(CAST(:article_ids AS text[])) AS a (article_id)
ORDER BY article_id
ON CONFLICT (pipeline, article_id) DO NOTHING
