-- name: register
-- A scorer is known by its digest; where it was found is not part of its identity.
INSERT INTO rerank.scorer
    (digest, family, weights_digest, prompt_digest, precision, max_document_tokens, passages, location)
VALUES
    (:digest, :family, :weights_digest, :prompt_digest, :precision, :max_document_tokens, :passages, :location)
ON CONFLICT (digest) DO NOTHING

-- name: by_digest
-- A scorer's number.
SELECT scorer_id FROM rerank.scorer WHERE digest = :digest

-- name: by_location
-- The scorer that was last registered from this place.
SELECT scorer_id
FROM rerank.scorer
WHERE location = :location AND max_document_tokens = :max_document_tokens AND passages = :passages
ORDER BY registered_at DESC, scorer_id DESC
LIMIT 1

-- name: place
-- A checkpoint that was moved, or registered again, is the one that is meant by its place from now on.
UPDATE rerank.scorer
SET location = :location, registered_at = now()
WHERE scorer_id = :scorer_id

-- name: known
-- Every registered scorer, the newest first.
SELECT scorer_id, digest, family, precision, max_document_tokens, passages, location, registered_at
FROM rerank.scorer
ORDER BY registered_at DESC, scorer_id DESC
