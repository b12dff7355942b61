-- psql "$DATABASE_URL" -v topic=ai-policy -f tests/examples/changes.sql
SELECT change, title, url, rank_before, rank_now, cause
FROM rerank.recent_change
WHERE pipeline = 'news' AND topic = :'topic' AND is_current
ORDER BY array_position(ARRAY['entered', 'rose', 'left', 'fell'], change), rank_now, rank_before;
