#!/bin/sh
# Puts a dump of deploy/backup.sh into the service's database, all of it or nothing.
#
#   deploy/restore.sh FILE             into a database without orders: a new one, or one that a service has just made
#   deploy/restore.sh FILE --replace   what the database holds is thrown away
#
# Numbers given after the backup was made are known to senders and 1C, and must not be given again to others: all counters
# are moved on by AQUA_SKIP_NUMBERS (1000000 unless set; more than can have been given since), and never behind those of
# what is thrown away.
#
# The environment is backup.sh's. Stop every instance of the service first: it knows of numbers that would be given
# twice. A private cluster is started here for as long as it takes; run this as root, or as the user that it belongs to.
# Where there is none yet, start the service once and stop it again.
set -eu
# shellcheck source=deploy/database.sh
. "$(dirname "$0")/database.sh"

file=${1:-}
[ -r "$file" ] || give_up "usage: restore.sh FILE [--replace]"
case ${2:-} in
'' | --replace) ;;
*) give_up "usage: restore.sh FILE [--replace]" ;;
esac

skip=$(numbers_to_skip)

if [ -z "${DATABASE_URL:-}${DATABASE_URL_FILE:-}" ]; then
    data=$(cd "${AQUA_DATA_DIR:-data/postgres}" 2>/dev/null && pwd) ||
        give_up "no DATABASE_URL, and no private cluster in ${AQUA_DATA_DIR:-data/postgres} (AQUA_DATA_DIR): start the service once, and stop it"
    export AQUA_DATA_DIR="$data"
    # For `program`: the cluster's own version.
    # shellcheck disable=SC2034
    major=$(cat "$data/PG_VERSION")
    # PostgreSQL refuses root.
    pg_ctl() {
        if [ "$(id -u)" -eq 0 ]; then
            (cd "$data" && runuser -u "$(stat -c %U "$data")" -- "$(program pg_ctl)" "$@" --pgdata="$data")
        else
            "$(program pg_ctl)" "$@" --pgdata="$data"
        fi
    }
    ! pg_ctl status >/dev/null 2>&1 ||
        give_up "the private cluster in $data runs: stop the service first"
    # In the cluster's own folder, which its owner alone may enter. (A path too long for a socket is PostgreSQL's to
    # refuse.)
    pg_ctl start --silent --wait --log="$data/start.log" \
        --options="-c listen_addresses= -c unix_socket_directories=. -c unix_socket_permissions=0700 -c port=5432"
    trap 'pg_ctl stop --silent --wait --mode=fast' EXIT
    trap 'exit 1' HUP INT TERM
fi
find_database
psql=$(program psql)
# Without the warnings that some tables are not ours to analyse.
ask() {
    PGOPTIONS='-c client_min_messages=error' "$psql" --no-psqlrc --quiet --tuples-only --no-align \
        --set=ON_ERROR_STOP=1 --dbname="$database" --command="$1"
}

# An instance on another machine counts as well; one that was stopped a moment ago is given the time to be gone.
patience=10
while
    others=$(ask "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
            AND application_name NOT LIKE 'citus_internal%'") || exit 1
    [ "$others" != 0 ]
do
    [ "$patience" -gt 0 ] || give_up "$others connection(s) to the database: stop every instance of the service first"
    patience=$((patience - 1))
    sleep 0.5
done
if [ "${2:-}" != --replace ] && [ "$(ask "SELECT to_regclass('orders') IS NOT NULL")" = t ] &&
    [ "$(ask 'SELECT EXISTS (SELECT FROM orders)')" = t ]; then
    give_up "there are orders in the database already; --replace throws them away"
fi
# Citus belongs to the server, as an operator set it up, and not to what is put back; the tables come back unspread
# (deploy/citus.sql).
list=$("$(program pg_restore)" --list "$file") || give_up "the dump cannot be read, nothing is changed"
# All tables go first: one that a newer service has added would be in the dump's way. Without its COMMIT, because the
# dump cannot be read to its end, all stays as it was.
{
    cat <<'SQL'
BEGIN;
-- Citus drops spread tables in one transaction only one after another.
SET LOCAL citus.multi_shard_modify_mode TO 'sequential';
CREATE TEMPORARY TABLE counter_before (publication text, kind text, next bigint) ON COMMIT DROP;
DO $$
DECLARE name text;
BEGIN
    IF to_regclass('number_counter') IS NOT NULL THEN
        INSERT INTO counter_before SELECT publication, kind, next FROM number_counter;
    END IF;
    FOR name IN
        SELECT format('%I.%I', relnamespace::regnamespace, relname) FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
    LOOP
        EXECUTE 'DROP TABLE IF EXISTS ' || name || ' CASCADE';
    END LOOP;
END $$;
SQL
    if printf '%s\n' "$list" | grep -v 'EXTENSION.* citus' |
        "$(program pg_restore)" --use-list=/dev/stdin --file=- --no-owner --no-privileges --clean --if-exists "$file"; then
        # The dump sets an empty search path.
        echo "RESET search_path;"
        skip_numbers "$skip"
        cat <<'SQL'
INSERT INTO number_counter AS c (publication, kind, next) SELECT publication, kind, next FROM counter_before
ON CONFLICT (publication, kind) DO UPDATE SET next = greatest(c.next, excluded.next);
COMMIT;
SQL
    else
        echo "DO \$\$ BEGIN RAISE 'the dump cannot be read, nothing is changed'; END \$\$;"
    fi
} | PGOPTIONS='-c client_min_messages=warning' "$psql" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$database" >/dev/null
ask ANALYZE >/dev/null
ask "SELECT 'restored: ' || (SELECT count(*) FROM orders) || ' orders; the last batch came '
    || coalesce((SELECT max(received_at)::text FROM journal_batch), 'never')"
