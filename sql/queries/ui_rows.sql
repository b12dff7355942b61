-- Rows of a publication, one page of them, with the rank that each article had in another one. Like the views that
-- frontends read, without blocked
-- and forgotten articles.
SELECT r.slug, r.rank, r.article_id, r.title, r.url, r.source, r.lang, r.published_at, r.first_ingested_at, r.ranked_by,
       r.logit, r.rank_score, r.light_score, r.truncated, r.is_new, r.copies, r.copy_sources,
       COALESCE(r.began_at, least(r.published_at, r.first_ingested_at)) AS began_at, b.rank AS rank_before,
       count(*) OVER () AS total
FROM rerank.ranking r
LEFT JOIN rerank.ranking b
       ON b.publication_id = :before_id AND b.slug = r.slug AND b.article_id = r.article_id
WHERE r.publication_id = :publication_id
  AND (CAST(:slugs AS text[]) IS NULL OR r.slug = ANY(CAST(:slugs AS text[])))
  AND r.rank <= :top
  AND (CAST(:lang AS text) IS NULL OR r.lang = :lang)
  AND (CAST(:q AS text) IS NULL
       OR strpos(lower(r.title), lower(:q)) > 0 OR strpos(lower(r.source), lower(:q)) > 0
       OR strpos(r.slug, lower(:q)) > 0 OR r.article_id = :q)
  AND NOT EXISTS (SELECT FROM rerank.block x WHERE x.pipeline = :pipeline AND x.article_id = r.article_id)
  AND NOT EXISTS (SELECT FROM rerank.tombstone x WHERE x.pipeline = :pipeline AND x.article_id = r.article_id)
ORDER BY r.slug, r.rank
LIMIT :limit OFFSET :offset
