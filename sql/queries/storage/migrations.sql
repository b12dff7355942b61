-- name: comments
-- The comments on the schema's views, under the name '', and on their columns.
SELECT c.relname AS view, COALESCE(a.attname, '') AS name, d.description AS comment
FROM pg_class c
LEFT JOIN LATERAL (
    SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT NULL, 0
) a ON true
LEFT JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = a.attnum
WHERE c.relnamespace = 'rerank'::regnamespace AND c.relkind = 'v'
ORDER BY c.relname, a.attnum
