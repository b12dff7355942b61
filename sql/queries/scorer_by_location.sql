-- The scorer that was last registered from this place.
SELECT scorer_id
FROM rerank.scorer
WHERE location = :location AND max_document_tokens = :max_document_tokens AND passages = :passages
ORDER BY registered_at DESC, scorer_id DESC
LIMIT 1
