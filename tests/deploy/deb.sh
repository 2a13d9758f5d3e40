#!/bin/sh
# Installs the package on a fresh Debian with systemd (debian.sh): has it take orders, watched; upgrades it under load; removes and
# purges it. A line for each check. As root; some minutes, most of them debootstrap's.
#
#   tests/deploy/deb.sh [target/debian/aqua-orders_….deb]
set -eu
cd "$(dirname "$0")/../.."
. tests/deploy/debian.sh

find_package "${1:-}"
make_debian
# The next version: another number, and other settings as delivered.
settings=/etc/aqua-orders/aqua-orders.toml
dpkg-deb -R "$package" "$scratch/new"
sed -i 's/^Version: .*/&+next/' "$scratch/new/DEBIAN/control"
echo "# The next version says more." >>"$scratch/new$settings"
rm -f "$scratch/new/DEBIAN/md5sums"
dpkg-deb -b "$scratch/new" "$root/root/new.deb" >/dev/null
boot

check "apt installs it, and misses nothing" inside apt-get install -y -q /root/aqua-orders.deb
check "its user is there" inside id aqua-orders
check "settings are root's, for its group to read" mode $settings "640 root:aqua-orders"
check "backups are the user's alone" mode /var/backups/aqua-orders "700 aqua-orders:aqua-orders"
check "the program runs" says "^aqua-orders " inside aqua-orders --version
check "nothing is started before there is a publication" says "^inactive" inside systemctl is-active aqua-orders
check "without one it says so" says "publication" inside sh -c '! aqua check'
check "systemd takes the units" inside systemd-analyze verify /usr/lib/systemd/system/aqua-orders.service \
    /usr/lib/systemd/system/aqua-orders.socket /usr/lib/systemd/system/aqua-orders-backup.timer
check "and finds little that is open" inside systemd-analyze security --threshold=20 aqua-orders.service
check "nothing of it names /usr/local" sh -c "! grep -r /usr/local/ '$root'/usr/lib/systemd/system/aqua-orders* '$root/usr/sbin/aqua'"
check "there is a manual page" says "1C's order-exchange" inside man aqua-orders
check "and one for a command" says "dry.run" inside man aqua-orders-import
check "bash completes its commands" says "hash-password" inside bash -c '. /usr/share/bash-completion/completions/aqua-orders
    COMP_WORDS=(aqua-orders ha) COMP_CWORD=1; $(complete -p aqua-orders | grep -o "_[^ ]*") aqua-orders ha aqua-orders
    echo "${COMPREPLY[@]}"'

write_settings
check "with a publication its settings are right" says "is right" inside aqua check
check "it starts on systemd's socket, and by itself after a boot" inside systemctl enable --now aqua-orders.socket aqua-orders.service
check "its nightly backup is set" inside systemctl enable --now aqua-orders-backup.timer
check "systemd shows what it does" says "^takes orders" property StatusText
check "its metrics can be read" says "^aqua_build_info" inside curl -s http://127.0.0.1:9888/metrics

cat >"$root/root/load" <<'LOAD'
#!/bin/sh
# load NAME: orders one after another, as long as there is /root/loading. What was taken goes to /root/taken.NAME, any other answer,
# or none, to /root/missed.NAME.
number=0
while [ -e /root/loading ]; do
    number=$((number + 1))
    answer=$(/root/post "$1-$number" 2>&1)
    case $answer in
    *'"success":true'*) echo "$1-$number" >>"/root/taken.$1" ;;
    *) echo "$1-$number: $answer" >>"/root/missed.$1" ;;
    esac
done
LOAD
chmod 755 "$root/root/load"
check "it takes an order" says '"success":true' inside /root/post first
check "a backup is made" inside systemctl start aqua-orders-backup.service
check "and is there" sh -c "ls '$root/var/backups/aqua-orders' | grep -q dump"
check "doctor finds no fault" inside aqua doctor

# SIGSTOP is a process all of whose threads hang.
process=$(property MainPID)
inside systemctl kill --kill-who=main --signal=STOP aqua-orders
other() { [ "$(property MainPID)" != "$process" ] && says "^active" inside systemctl is-active aqua-orders; }
check "systemd starts it anew where it hangs" within 90 other
check "and it takes orders again" says '"success":true' inside /root/post second

touch "$root/root/loading"
senders=
for sender in a b c d; do
    inside /root/load $sender &
    senders="$senders $!"
done
sleep 3
process=$(property MainPID)
check "it is upgraded under load, and asks nothing of who keeps his settings" inside dpkg -i --force-confold /root/new.deb
sleep 3
rm "$root/root/loading"
# shellcheck disable=SC2086
wait $senders
check "another process serves" other
check "the next version" says "+next" inside dpkg-query --show aqua-orders
taken=$(cat "$root"/root/taken.? | wc -l)
check "no connection was refused, none cut, no order left without an answer" \
    sh -c "! cat '$root'/root/missed.? 2>/dev/null"
stored() {
    database psql --no-psqlrc --tuples-only --no-align --command="SELECT sender_id FROM orders WHERE sender_id ~ '^[a-d]-'" |
        LC_ALL=C sort
}
stored >"$scratch/stored" || true
LC_ALL=C sort "$root"/root/taken.? >"$scratch/taken"
check "and each of the $taken orders that were taken is stored" cmp "$scratch/taken" "$scratch/stored"
check "the settings are still his" says 'name = "demo"' cat "$root$settings"
check "those of the next version lie beside them" says "says more" cat "$root$settings.dpkg-dist"
check "and still no others' to read" mode $settings "640 root:aqua-orders"

check "it is removed" inside dpkg -r aqua-orders
check "nothing of it runs" says "^inactive" inside systemctl is-active aqua-orders.socket
check "nor is to be started" sh -c "! ls '$root/etc/systemd/system/multi-user.target.wants' '$root/etc/systemd/system/timers.target.wants' | grep aqua-orders"
check "the program is gone" gone /usr/bin/aqua-orders
check "the settings stay" there $settings
check "it is purged" inside dpkg -P aqua-orders
check "the settings are gone" gone $settings
check "orders stay" there /var/lib/aqua-orders/postgres/PG_VERSION
check "backups stay" sh -c "ls '$root/var/backups/aqua-orders' | grep -q dump"
exit $failed
