-- The judgements of a table.
SELECT CAST(topic AS text) AS topic, CAST(article_id AS text) AS article_id, relevance
FROM {table}
ORDER BY topic, article_id
