-- A scorer's number.
SELECT scorer_id FROM rerank.scorer WHERE digest = :digest
