-- Under which scorers each topic's queries are filled, the latest first.
SELECT slug, queries_digest, scorer_id FROM rerank.fill WHERE pipeline = :pipeline ORDER BY slug, filled_at DESC, scorer_id DESC
