-- Every key of a source in another database; bodies are not read.
SELECT article_id, version, CASE WHEN ingested_at BETWEEN '0001-01-02' AND '9999-12-30' THEN ingested_at END AS ingested_at
FROM {view}
