-- Articles that must not be shown.
SELECT article_id FROM rerank.block WHERE pipeline = :pipeline ORDER BY article_id
