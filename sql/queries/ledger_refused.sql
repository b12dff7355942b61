-- Documents that a scorer refused for these queries.
SELECT query_id, document_id
FROM rerank.refused_pair
WHERE scorer_id = :scorer_id AND query_id = ANY(CAST(:query_ids AS bigint[]))
ORDER BY query_id, document_id
