#!/bin/sh
# Makes the two databases of the compose file, when Postgres starts for the first time.
set -eu
for database in airflow news; do
    psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --command="CREATE DATABASE $database"
done
