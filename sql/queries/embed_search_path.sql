-- The extension may be in any schema; until the transaction ends its types and operators are found by their names.
SELECT set_config('search_path', quote_ident(n.nspname) || ', pg_catalog', true)
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'
