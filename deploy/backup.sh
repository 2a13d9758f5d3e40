#!/bin/sh
# Makes a backup of the service's database; beside a running service, at any time.
#
#   deploy/backup.sh         the orders and all else, for deploy/restore.sh (pg_dump)
#   deploy/backup.sh base    the whole server with its WAL, to be brought to any later moment with an archive of WAL
#                            (pg_basebackup; docs/operations.ru.md, "Восстановление на момент времени")
#
# From the environment, as the service has it (systemd: /etc/aqua-orders/environment):
#   DATABASE_URL or DATABASE_URL_FILE   the server; without either the private cluster, which must be running
#   AQUA_DATA_DIR        the private cluster's folder (data/postgres)
#   AQUA_POSTGRES_BIN    the folder of PostgreSQL's programs, where they are not the usual ones
#   AQUA_BACKUP_FOLDER   where backups lie (/var/backups/aqua-orders)
#   AQUA_BACKUP_KEEP     how many of each kind are kept (14)
#
# A backup bears its name only when it is whole and on the disk. What it holds are people's names and phones: it is
# readable for its owner alone. Copy it to another machine, or a lost disk takes both.
set -eu
# shellcheck source=deploy/database.sh
. "$(dirname "$0")/database.sh"

kind=${1:-dump}
folder=${AQUA_BACKUP_FOLDER:-/var/backups/aqua-orders}
keep=${AQUA_BACKUP_KEEP:-14}
case $kind in
dump) suffix=dump ;;
base) suffix=base.tar.gz ;;
*) give_up "usage: backup.sh [dump|base]" ;;
esac
case $keep in
'' | *[!0-9]* | 0*) give_up "AQUA_BACKUP_KEEP must be a whole number from 1, not $keep" ;;
esac

umask 077
mkdir -p "$folder"
# Its owner could put a link where root is about to write.
if [ "$(id -u)" -eq 0 ]; then
    owner=$(stat -c %U "$folder")
    [ "$owner" = root ] || give_up "$folder belongs to $owner: run this as that user (runuser -u $owner -- $0 $*)"
fi
# What a kill left behind of an earlier one.
find "$folder" -maxdepth 1 -type f -name '.aqua-orders-*.part' -mmin +1440 -delete
part=$(mktemp "$folder/.aqua-orders-XXXXXX.part")
# A signal ends the script, and its end removes what is unfinished.
trap 'rm -f "$part"' EXIT
trap 'exit 1' HUP INT TERM

find_database
case $kind in
dump)
    # Owners and rights are the new server's affair.
    "$(program pg_dump)" --format=custom --no-owner --no-privileges --file="$part" --dbname="$database"
    # What cannot show what is in it is no dump.
    "$(program pg_restore)" --list "$part" >/dev/null
    ;;
base)
    # Without a pipe, whose first program's failure nobody sees; the WAL that it takes to start is inside. A single
    # archive has no place for further tablespaces: pg_basebackup says so itself.
    "$(program pg_basebackup)" --format=tar --gzip --wal-method=fetch --checkpoint=fast --pgdata=- \
        --dbname="$superuser" >"$part"
    gzip --test "$part"
    ;;
esac
sync "$part"
made=$folder/aqua-orders-$(date -u +%Y%m%dT%H%M%SZ).$suffix
[ ! -e "$made" ] || give_up "$made is there already: two backups in one second"
mv "$part" "$made"
sync "$folder"

# Their names sort by time. Only now: a failed backup must not cost an old one.
find "$folder" -maxdepth 1 -type f -name "aqua-orders-*Z.$suffix" | LC_ALL=C sort -r | tail -n "+$((keep + 1))" |
    while IFS= read -r old; do rm -f "$old"; done
# WAL that went before the oldest base backup brings nobody back. (What a base backup itself needs is inside of it.)
if [ "$kind" = base ] && [ -d "$folder/wal" ]; then
    oldest=$(find "$folder" -maxdepth 1 -type f -name "aqua-orders-*Z.$suffix" | LC_ALL=C sort | head -n 1)
    find "$folder/wal" -type f ! -newer "$oldest" -mmin +1440 -delete
fi
echo "$made"
