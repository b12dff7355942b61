-- The documents nearest to a query, each compared.
SELECT document_id, likeness
FROM (
    SELECT v.document_id, -(v.vector <#> CAST(:query AS halfvec)) AS likeness
    FROM {wanted} w
    JOIN {vectors} v USING (document_id)
    OFFSET 0
) compared
ORDER BY likeness DESC, document_id
LIMIT :limit
