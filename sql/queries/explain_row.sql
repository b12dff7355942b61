-- The article's row in a topic's published ranking.
SELECT rank, ranked_by, logit, rank_score, light_score, truncated, is_new, copies
FROM rerank.ranking
WHERE publication_id = :publication_id AND slug = :slug AND article_id = :article_id
