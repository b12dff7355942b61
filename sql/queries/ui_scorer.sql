-- The scorer that a run has frozen.
SELECT scorer_id, family, precision, max_document_tokens, passages, location, weights_digest FROM rerank.scorer WHERE scorer_id = :scorer_id
