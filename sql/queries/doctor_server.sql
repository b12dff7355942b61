-- What the database server says of itself: its version, the name of the database, its clock.
SELECT current_setting('server_version_num')::integer AS version_number,
       current_setting('server_version') AS version,
       current_database() AS name,
       clock_timestamp() AS now
