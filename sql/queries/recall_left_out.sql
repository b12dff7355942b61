-- Where the documents of the window went, over all topics, and what the budget kept from being scored.
SELECT count(*) AS topics, COALESCE(sum(left_out), 0) AS left_out, COALESCE(sum(ineligible), 0) AS ineligible,
       COALESCE(sum(not_searched), 0) AS not_searched, COALESCE(sum(not_recalled), 0) AS not_recalled,
       COALESCE(sum(not_recalled_language), 0) AS not_recalled_language
FROM rerank.run_topic
WHERE run_id = :run_id
