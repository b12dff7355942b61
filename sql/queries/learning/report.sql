-- name: keep
-- The report of a pipeline, in place of the one before.
INSERT INTO rerank.feedback_report (pipeline, content) VALUES (:pipeline, CAST(:content AS jsonb))
ON CONFLICT (pipeline) DO UPDATE SET content = EXCLUDED.content, made_at = now()

-- name: latest
-- The report that was made last.
SELECT content FROM rerank.feedback_report WHERE pipeline = :pipeline
