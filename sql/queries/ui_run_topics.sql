-- A run's topics, those with something amiss first.
SELECT t.slug, t.state, t.candidates, t.from_ledger, t.scored, t.refused, t.missing, t.left_out, t.ranked,
       COALESCE(f.filling, false) AS filling, count(*) OVER () AS total
FROM rerank.ranking_topic t
LEFT JOIN rerank.run_topic f ON f.run_id = :run_id AND f.slug = t.slug
WHERE t.publication_id = :publication_id
ORDER BY array_position(ARRAY['degraded', 'partial', 'abstained', 'stale', 'full'], t.state), t.missing DESC, t.slug
LIMIT :limit OFFSET :offset
