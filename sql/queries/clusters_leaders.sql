-- The leaders that were first ingested in a span of time, by the bands of their signatures.
SELECT document_id, encode(bands, 'hex') AS bands
FROM rerank.near_copy
WHERE pipeline = :pipeline AND document_id = leader_document_id AND first_ingested_at BETWEEN :since AND :until
ORDER BY document_id
