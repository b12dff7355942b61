-- No later claim brings the article back.
INSERT INTO rerank.tombstone (pipeline, article_id, reason) VALUES (:pipeline, :article_id, :reason)
ON CONFLICT (pipeline, article_id) DO NOTHING
