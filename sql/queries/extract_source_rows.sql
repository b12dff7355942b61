-- The rows behind changed keys.
SELECT article_id, version, ingested_at, url, title, summary, body, lang, source, published_at
FROM {view}
WHERE article_id = ANY(CAST(:article_ids AS text[]))
