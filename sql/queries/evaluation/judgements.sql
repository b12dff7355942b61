-- name: columns
-- The columns of a table of judgements, to check what it has.
SELECT a.attname AS name
FROM pg_attribute a
WHERE a.attrelid = to_regclass(:relation) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: rows
-- The judgements of a table.
SELECT CAST(topic AS text) AS topic, CAST(article_id AS text) AS article_id, relevance
FROM {table}
ORDER BY topic, article_id
