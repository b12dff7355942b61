-- The rows of a publication without those of forgotten articles, their ranks closed up.
SELECT r.slug AS topic, row_number() OVER (PARTITION BY r.slug ORDER BY r.rank) AS rank, {columns}
FROM rerank.ranking r
JOIN rerank.publication p USING (publication_id)
WHERE r.publication_id = :publication_id
  AND NOT EXISTS (SELECT FROM rerank.tombstone t WHERE t.pipeline = p.pipeline AND t.article_id = r.article_id)
ORDER BY r.slug COLLATE "C", r.rank
