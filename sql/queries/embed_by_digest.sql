-- An embedder's number.
SELECT embedder_id FROM rerank.embedder WHERE digest = :digest
