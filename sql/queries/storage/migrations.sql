-- name: limit_waits
-- How long each statement of an upgrade waits for a lock: readers wait behind it.
SELECT set_config('lock_timeout', :lock, true)

-- name: holders
-- Other sessions that an upgrade may wait for: they hold a lock on the schema, or the one that upgrades take turns by. The
-- session of a reader may be ended, if this role has the reader's rights: the script of the roles gives them to the owner.
SELECT a.pid, a.usename AS role, a.usename = current_user AND bool_or(l.locktype = 'advisory') AS is_upgrade,
       COALESCE(bool_and(l.locktype = 'advisory' OR l.mode = 'AccessShareLock')
                AND (bool_or(l.locktype = 'advisory') OR a.xact_start < clock_timestamp() - CAST(:lock AS interval))
                AND a.usename <> current_user AND pg_has_role(a.usesysid, 'USAGE'), false) AS may_end
FROM pg_locks l
JOIN pg_stat_activity a USING (pid)
WHERE l.granted AND a.pid <> pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND ((l.locktype = 'relation' AND l.relation IN (SELECT c.oid FROM pg_class c WHERE c.relnamespace = to_regnamespace('rerank')))
       OR (l.locktype = 'advisory' AND l.classid = 0 AND l.objid = CAST(:key AS oid)))
GROUP BY a.pid, a.usename, a.usesysid, a.xact_start
ORDER BY a.pid

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
