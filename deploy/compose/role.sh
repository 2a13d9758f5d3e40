#!/bin/sh
# Run once by PostgreSQL's image, when the volume is new (/docker-entrypoint-initdb.d): the role that the service and the
# backups log in as. It owns its database and nothing else.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres <<'SQL'
-- From the environment, for everybody in the container can read a command line.
\getenv password POSTGRES_PASSWORD
CREATE ROLE aqua LOGIN PASSWORD :'password';
CREATE DATABASE aqua OWNER aqua ENCODING 'UTF8' TEMPLATE template0;
-- The superuser comes in over the container's own socket alone: docker compose exec database psql -U postgres
ALTER ROLE postgres PASSWORD NULL;
SQL
