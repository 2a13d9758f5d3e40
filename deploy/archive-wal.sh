#!/bin/sh
# PostgreSQL's archive_command: puts a finished piece of WAL beside the base backups, whole and on the disk, or fails
# and is asked again. docs/operations.ru.md, "Восстановление на момент времени".
#
#   archive_command = '/usr/local/share/aqua-orders/deploy/archive-wal.sh %p /var/backups/aqua-orders/wal/%f'
set -eu

# One that is there already is never overwritten. Asked again after a crash, all is well if it is the same.
if [ -e "$2.gz" ]; then
    gunzip --stdout "$2.gz" | cmp --silent - "$1"
    exit
fi
umask 077
mkdir -p "$(dirname "$2")"
# Mostly zeros, where few orders come: 16 MiB become some kilobytes.
gzip --stdout "$1" >"$2.part"
sync "$2.part"
mv "$2.part" "$2.gz"
sync "$(dirname "$2")"
