-- name: server
-- What the database server says of itself: its version, the name of the database, its clock, and limits that end a long
-- claim or publication: those below an hour (null: none).
SELECT current_setting('server_version_num')::integer AS version_number,
       current_setting('server_version') AS version,
       current_database() AS name,
       (SELECT string_agg(name || ' = ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings
        WHERE CASE WHEN name IN ('statement_timeout', 'transaction_timeout')  -- milliseconds; 0: no limit
                   THEN setting::bigint BETWEEN 1 AND 3600000 - 1 END) AS limits,
       clock_timestamp() AS now
