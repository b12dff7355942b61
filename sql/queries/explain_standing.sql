-- How the topic stands in a publication.
SELECT state, scorer_id, missing, left_out, ranked
FROM rerank.ranking_topic
WHERE publication_id = :publication_id AND slug = :slug
