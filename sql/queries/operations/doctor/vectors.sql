-- name: vector
-- Whether pgvector is in this database, could be, and whether this role may put it there.
SELECT (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS installed,
       (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS may_create
