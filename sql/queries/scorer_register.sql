-- A scorer is known by its digest; where it was found is not part of its identity.
INSERT INTO rerank.scorer
    (digest, family, weights_digest, prompt_digest, precision, max_document_tokens, passages, location)
VALUES
    (:digest, :family, :weights_digest, :prompt_digest, :precision, :max_document_tokens, :passages, :location)
ON CONFLICT (digest) DO NOTHING
