-- How each topic of the current page stands.
SELECT topic, query, state, candidates, from_ledger, scored, refused, missing, left_out
FROM rerank.current_topic
WHERE pipeline = :pipeline
ORDER BY topic
