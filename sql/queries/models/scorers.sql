-- name: register
-- Adds a scorer that is not known yet. A scorer is known by its digest; its location is not part of its identity.
INSERT INTO rerank.scorer
    (digest, family, weights_digest, prompt_digest, precision, max_document_tokens, passages, location)
VALUES
    (:digest, :family, :weights_digest, :prompt_digest, :precision, :max_document_tokens, :passages, :location)
ON CONFLICT (digest) DO NOTHING

-- name: by_digest
-- The number of a scorer.
SELECT scorer_id FROM rerank.scorer WHERE digest = :digest

-- name: by_location
-- The scorer that was last registered under this location, for hosts that lack the checkpoint.
SELECT scorer_id
FROM rerank.scorer
WHERE location = :location AND max_document_tokens = :max_document_tokens AND passages = :passages
ORDER BY registered_at DESC, scorer_id DESC
LIMIT 1

-- name: place
-- Makes a scorer that was moved, or registered again, the latest scorer of its location.
UPDATE rerank.scorer
SET location = :location, registered_at = now()
WHERE scorer_id = :scorer_id

-- name: known
-- Every registered scorer, the newest first.
SELECT scorer_id, digest, family, precision, max_document_tokens, passages, location, registered_at
FROM rerank.scorer
ORDER BY registered_at DESC, scorer_id DESC

-- name: promoted
-- The scorer that was put last in place of a pipeline's model; or, of a run that is frozen with a scorer, where that one is.
SELECT location
FROM rerank.promotion
WHERE pipeline = :pipeline AND model = :model AND (CAST(:scorer_id AS integer) IS NULL OR scorer_id = :scorer_id)
ORDER BY promotion_id DESC
LIMIT 1
