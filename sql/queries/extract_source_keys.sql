-- Every key of a source in another database; bodies are not read.
SELECT article_id, version, ingested_at FROM {view}
