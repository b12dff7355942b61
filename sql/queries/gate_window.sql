-- Where each document of the window went, for each topic.
SELECT slug, wanted, wanted + carried + ineligible + not_searched + not_recalled + not_recalled_language AS documents
FROM rerank.run_topic
WHERE run_id = :run_id
ORDER BY slug
