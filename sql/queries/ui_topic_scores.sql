-- The mean logit of each topic's ranked articles in each of these publications.
SELECT slug, publication_id, CAST(avg(logit) AS double precision) AS mean
FROM rerank.ranking
WHERE publication_id = ANY(CAST(:publication_ids AS bigint[])) AND slug = ANY(CAST(:slugs AS text[])) AND logit IS NOT NULL
GROUP BY slug, publication_id
ORDER BY slug, publication_id
