-- The article as the source shows it now.
SELECT version, ingested_at FROM {view} WHERE article_id = :article_id ORDER BY version LIMIT 1
