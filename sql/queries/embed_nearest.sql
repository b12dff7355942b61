-- The documents nearest to a query, by the index. The wanted ones are looked up one by one: a join would be planned the
-- other way round, and read them all.
SELECT v.document_id, -(v.vector <#> CAST(:query AS halfvec)) AS likeness
FROM {vectors} v
WHERE (EXISTS (SELECT FROM {wanted} w WHERE w.document_id = v.document_id)) IS TRUE
ORDER BY v.vector <#> CAST(:query AS halfvec)
LIMIT :limit
