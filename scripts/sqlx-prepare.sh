#!/bin/sh
# Writes .sqlx/: what PostgreSQL says of each `query!`, so that a build needs no database. With --check it changes
# nothing and fails when .sqlx/ is not what it should be. The same as `cargo sqlx prepare`, on a throw-away server of
# its own and without a tool to install first.
set -eu
cd "$(dirname "$0")/.."
. scripts/ensure.sh

ensure_rust
ensure_postgres
bin=$(postgres_bin)
# In /tmp whatever TMPDIR says: a socket's path must be short, and PostgreSQL's user must get there.
folder=$(mktemp -d /tmp/aqua-sqlx-XXXXXX)
finish() {
    [ ! -f "$folder/postgres/data/postmaster.pid" ] ||
        (cd / && as_postgres "$bin/pg_ctl" -D "$folder/postgres/data" -m immediate -w stop) >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$folder"
mkdir "$folder/queries" "$folder/tmp" "$folder/postgres"
[ "$(id -u)" -ne 0 ] || chown "$(postgres_user)" "$folder/postgres"

quietly() { "$@" >"$folder/log" 2>&1 </dev/null || { cat "$folder/log" >&2; give_up "failed: $*"; }; }
in_root() { (cd / && as_postgres "$@"); }
quietly in_root "$bin/initdb" -D "$folder/postgres/data" -U postgres -E UTF8 --locale=C -A trust --no-sync
quietly in_root "$bin/pg_ctl" -D "$folder/postgres/data" -l "$folder/postgres/log" -w start \
    -o "-c listen_addresses= -c unix_socket_directories=$folder/postgres -c fsync=off"
for migration in migrations/*.sql; do
    quietly "$bin/psql" -X -q -1 -v ON_ERROR_STOP=1 -h "$folder/postgres" -U postgres -d postgres -f "$migration"
done

# The macros ask the database, and note its answers, only where they are compiled anew.
touch src/lib.rs
DATABASE_URL="postgres://postgres@localhost/postgres?host=$folder/postgres" SQLX_OFFLINE=false \
    SQLX_OFFLINE_DIR="$folder/queries" SQLX_TMP="$folder/tmp" cargo check --locked --lib --quiet
touch src/lib.rs

[ -n "$(ls "$folder/queries")" ] || give_up "the build wrote no query: does it still use query! at all?"
if [ "${1:-}" = --check ]; then
    diff -r "$folder/queries" .sqlx >&2 ||
        give_up ".sqlx/ is not what the queries say: run scripts/sqlx-prepare.sh and commit what it writes."
    say ".sqlx/ is current"
else
    mkdir -p .sqlx
    rm -f .sqlx/query-*.json
    cp "$folder"/queries/query-*.json .sqlx/
    say "$(ls .sqlx | wc -l) queries written to .sqlx/"
fi
