-- Every registered scorer, the newest first.
SELECT scorer_id, digest, family, precision, max_document_tokens, passages, location, registered_at
FROM rerank.scorer
ORDER BY registered_at DESC, scorer_id DESC
