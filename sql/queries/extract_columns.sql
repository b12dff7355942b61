-- The source view's columns and types, to check its contract.
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type
FROM pg_attribute a
WHERE a.attrelid = to_regclass(:view) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
