#!/bin/sh
# Run once by PostgreSQL's image, when the volume is new, like role.sh; by hand in an older one (docs/operations.ru.md, "Обновление"):
# the role that the operator's console logs in as. It owns nothing; the service gives it its rights at each start. It has the
# password of the service's role, for one container has both.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres <<'SQL'
-- From the environment, for everybody in the container can read a command line.
\getenv password POSTGRES_PASSWORD
CREATE ROLE aqua_console LOGIN PASSWORD :'password';
SQL
