-- The first rows of each topic of the current page, or of the one that is asked for.
SELECT topic, rank, article_id, title, source, lang, ranked_by, logit, light_score, is_new, flags, copies,
       as_of - began_at AS age
FROM (
    SELECT *, row_number() OVER (PARTITION BY topic ORDER BY rank) AS place
    FROM rerank.current_ranking
    WHERE pipeline = :pipeline AND (CAST(:topic AS text) IS NULL OR topic = :topic)
) r
WHERE place <= :limit
ORDER BY topic, rank
