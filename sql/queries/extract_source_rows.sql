-- The rows behind changed keys.
SELECT article_id, version, ingested_at, url, title, summary, body, lang, source,
       CASE WHEN published_at BETWEEN '0001-01-02' AND '9999-12-30' THEN published_at END AS published_at
FROM {view}
WHERE article_id = ANY(CAST(:article_ids AS text[]))
