-- The texts that reach the model.
SELECT query_id, instruction, query FROM rerank.query WHERE query_id = ANY(CAST(:query_ids AS bigint[])) ORDER BY query_id
