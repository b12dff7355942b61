-- name: wait_long
-- An upgrade waits for the lock of another upgrade for as long as that one takes.
SELECT set_config('lock_timeout', '0', true)

-- name: lock
-- Upgrades go one at a time.
SELECT pg_advisory_xact_lock(:key)

-- name: schema
-- Whether the schema exists.
SELECT to_regnamespace('rerank') IS NOT NULL AS exists

-- name: make_schema
-- Makes the schema. Even with IF NOT EXISTS this needs a right that the owner of an existing schema lacks.
CREATE SCHEMA rerank

-- name: version_table
-- Whether any migration was applied.
SELECT to_regclass('rerank.alembic_version') IS NOT NULL AS exists

-- name: revision
-- The newest migration that was applied.
SELECT version_num AS revision FROM rerank.alembic_version

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
