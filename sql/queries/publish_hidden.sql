-- Articles that must not be shown, and why.
SELECT article_id, why FROM rerank.hidden WHERE pipeline = :pipeline ORDER BY article_id, why
