-- Hides an article from the views at once; a second block brings its reason up to date.
INSERT INTO rerank.block (pipeline, article_id, reason) VALUES (:pipeline, :article_id, :reason)
ON CONFLICT (pipeline, article_id) DO UPDATE SET reason = EXCLUDED.reason, actor = EXCLUDED.actor, blocked_at = now()
