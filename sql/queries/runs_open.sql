-- A run is made once for its key; its window is stored with it.
INSERT INTO rerank.run (pipeline, key, since, fresh_since, until, topics, rescore)
VALUES (:pipeline, :key, :since, :fresh_since, :until, CAST(:topics AS text[]), :rescore)
ON CONFLICT (pipeline, key) DO NOTHING
