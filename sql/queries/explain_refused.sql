-- Why a scorer refused a pair.
SELECT reason
FROM rerank.refused_pair
WHERE scorer_id = :scorer_id AND query_id = :query_id AND document_id = :document_id
