-- How the logits of each topic's ranked articles are spread: rows in each of twenty bins from -10 to 10.
SELECT slug, width_bucket(greatest(-9.999, least(9.999, CAST(logit AS double precision))), -10, 10, 20) AS bin, count(*) AS found
FROM rerank.ranking
WHERE publication_id = :publication_id AND slug = ANY(CAST(:slugs AS text[])) AND logit IS NOT NULL
GROUP BY slug, bin
ORDER BY slug, bin
