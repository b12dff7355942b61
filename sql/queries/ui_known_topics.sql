-- Which of these topics another publication has: in the others a rank has nothing to be compared with.
SELECT slug FROM rerank.ranking_topic WHERE publication_id = :publication_id AND slug = ANY(CAST(:slugs AS text[])) ORDER BY slug
