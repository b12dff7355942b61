-- name: set_back
-- Forget that articles were gone: the source has them again, or every window has passed them.
DELETE FROM rerank.deleted
WHERE pipeline = :pipeline AND (article_id = ANY(CAST(:article_ids AS text[])) OR noticed_at < :fresh_since)

-- name: set_deleted
-- Note articles of the window that the source does not have any more; the time stays that of the first notice.
INSERT INTO rerank.deleted (pipeline, article_id)
SELECT :pipeline, article_id FROM unnest(CAST(:article_ids AS text[])) AS a (article_id)
ORDER BY article_id
ON CONFLICT (pipeline, article_id) DO NOTHING

-- name: hidden
-- Articles that must not be shown, and why.
SELECT article_id, why FROM rerank.hidden WHERE pipeline = :pipeline ORDER BY article_id, why
