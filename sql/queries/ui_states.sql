-- How many topics of a publication are in each state.
SELECT state, count(*) AS topics
FROM rerank.ranking_topic
WHERE publication_id = :publication_id
GROUP BY state
ORDER BY state
