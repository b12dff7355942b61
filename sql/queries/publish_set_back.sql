-- Articles of the window that the source has again, and those that have left every window since.
DELETE FROM rerank.deleted
WHERE pipeline = :pipeline AND (article_id = ANY(CAST(:article_ids AS text[])) OR noticed_at < :fresh_since)
