-- name: register
-- Adds an embedder that is not known yet.
INSERT INTO rerank.embedder (digest, family, weights_digest, prompt_digest, precision, max_document_tokens, dimensions, location)
VALUES (:digest, :family, :weights_digest, :prompt_digest, :precision, :max_document_tokens, :dimensions, :location)
ON CONFLICT (digest) DO NOTHING

-- name: by_digest
-- The number of an embedder.
SELECT embedder_id FROM rerank.embedder WHERE digest = :digest
