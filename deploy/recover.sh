#!/bin/sh
# Makes a private cluster as it was at a moment, from a base backup and the WAL after it (docs/operations.ru.md,
# "Восстановление на момент времени").
#
#   deploy/recover.sh BASE.tar.gz WAL_FOLDER '2026-11-25 14:30:00+03'     or "latest": all that there is
#
# AQUA_DATA_DIR names the cluster's folder, which must be empty or missing: move the old one away, and keep it. Run it
# as root or as the user who is to own the folder (AQUA_USER, aqua-orders unless set). The service is started
# afterwards.
#
# Numbers given after that moment are known to senders and 1C, and must not be given again to others: all counters are
# moved on by AQUA_SKIP_NUMBERS (1000000 unless set; more than can have been given since).
set -eu
# shellcheck source=deploy/database.sh
. "$(dirname "$0")/database.sh"

base=${1:-}
wal=${2:-}
moment=${3:-}
if [ ! -r "$base" ] || [ ! -d "$wal" ] || [ -z "$moment" ]; then
    give_up "usage: recover.sh BASE.tar.gz WAL_FOLDER TIME|latest"
fi
case $moment in
*\'* | *\\*) give_up "a time as in '2026-11-25 14:30:00+03', or latest" ;;
esac
skip=$(numbers_to_skip)
data=${AQUA_DATA_DIR:-data/postgres}
wal=$(cd "$wal" && pwd)
case $wal in *[\'\"%]*) give_up "no quotes and no % in the folder's name, please: $wal" ;; esac
user=${AQUA_USER:-aqua-orders}
if [ "$(id -u)" -eq 0 ]; then
    id "$user" >/dev/null 2>&1 || give_up "there is no user $user: name the one who is to own $data in AQUA_USER"
fi
as_owner() {
    if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u "$user" -- "$@"); else "$@"; fi
}

# As its owner, who might have put a link there: root would follow it.
case $data in
/*) ;;
*) data=$PWD/$data ;;
esac
if ! as_owner mkdir -p "$data" 2>/dev/null; then mkdir -p "$data"; fi
[ -z "$(ls -A "$data")" ] || give_up "$data is not empty: move it away first"
if [ "$(id -u)" -eq 0 ]; then chown -h "$user": "$data"; fi
as_owner chmod 700 "$data"
as_owner tar -xzf - -C "$data" <"$base"
# For `program`: the cluster's own version.
# shellcheck disable=SC2034
major=$(cat "$data/PG_VERSION")
as_owner touch "$data/recovery.signal"
# Read last, so it overrides; taken out again at the end.
settings=$data/postgresql.auto.conf
as_owner cp "$settings" "$settings.before"
{
    echo "restore_command = 'gunzip --stdout \"$wal/%f.gz\" > \"%p\"'"
    [ "$moment" = latest ] || echo "recovery_target_time = '$moment'"
    echo "recovery_target_action = promote"
} >>"$settings"
gave_up() {
    tail -n 5 "$data/recovery.log" >&2
    give_up "PostgreSQL gave up; all that it said stands in $data/recovery.log"
}
# However much WAL there is: it lets nobody in before all of it is read that the base backup cannot do without.
as_owner "$(program pg_ctl)" start --silent --wait --timeout=86400 --pgdata="$data" --log="$data/recovery.log" \
    --options="-c listen_addresses= -c unix_socket_directories=. -c unix_socket_permissions=0700 -c port=5432 -c logging_collector=off" ||
    gave_up
trap 'as_owner "$(program pg_ctl)" stop --silent --wait --mode=fast --pgdata="$data"' EXIT
ask() {
    as_owner "$(program psql)" --no-psqlrc --tuples-only --no-align --host="$data" --username=postgres --dbname="$1" --command="$2" 2>/dev/null
}
until [ "$(ask postgres 'SELECT pg_is_in_recovery()')" = f ]; do
    as_owner "$(program pg_ctl)" status --pgdata="$data" >/dev/null || {
        trap - EXIT
        gave_up
    }
    sleep 1
done
ask aqua_orders "$(skip_numbers "$skip")" >/dev/null || give_up "the numbers' counters cannot be moved on: do not start the service"
ask aqua_orders "SELECT 'recovered: ' || (SELECT count(*) FROM orders) || ' orders; the last batch came '
    || coalesce((SELECT max(received_at)::text FROM journal_batch), 'never')"
as_owner mv "$settings.before" "$settings"
