# Sourced by deb.sh and restic.sh: a fresh Debian in a container, with its systemd and PostgreSQL and without a network
# (debootstrap, systemd-nspawn).
# shellcheck shell=sh
. scripts/ensure.sh
. tests/deploy/checks.sh

release=$(. /etc/os-release && echo "$VERSION_CODENAME")
scratch=$(mktemp -d /var/tmp/aqua-debian.XXXXXX)
root=$scratch/root
nspawn=
machine=
# shellcheck disable=SC2329 # the traps call it
clean() {
    # What systemd takes as a wish to be halted.
    [ -z "$machine" ] || kill -s RTMIN+4 "$machine" 2>/dev/null || true
    [ -z "$nspawn" ] || wait "$nspawn" || true
    rm -rf --one-file-system "$scratch"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

# find_package FILE: sets `package`, the newest that was built where none is named.
find_package() {
    # shellcheck disable=SC2012 # their names are ours
    package=${1:-$(ls -t target/debian/aqua-orders_*.deb 2>/dev/null | head -n 1)}
    [ -r "$package" ] || give_up "name the package, or build it first: scripts/deb.sh"
}

# make_debian [PACKAGE,…]: with those besides, and with our package in /root/.
make_debian() {
    [ "$(id -u)" -eq 0 ] || give_up "debootstrap and systemd-nspawn need root"
    command -v debootstrap >/dev/null || install debootstrap
    command -v systemd-nspawn >/dev/null || install systemd-container
    say "making a Debian $release in $root"
    debootstrap --variant=minbase --include="systemd-sysv,dbus,postgresql,curl,man-db${1:+,$1}" "$release" "$root" \
        >"$scratch/log" 2>&1 || give_up "debootstrap failed: $(tail -n 3 "$scratch/log")"
    cp "$package" "$root/root/aqua-orders.deb"
    cat >"$root/root/post" <<'POST'
#!/bin/sh
# post ID: one order on a connection of its own; prints the answer.
exec curl --silent --show-error --max-time 60 --header 'Content-Type: application/json' --data-binary @- \
    http://127.0.0.1:8888/demo/hs/AquaDeliveri/getOrdersURL <<ORDER
[{"id":"$1","status":"new","total":1,"shipping_date_from":"2026-11-26 10:00","shipping_date_to":"2026-11-26 12:00",
"order_item_list":[{"product_id":"1","price":1,"quantity":1}],"client":{"id":"$1","username":"Deb","phone":"+79080000001"},
"shipping_address":{"city":"a","street":"b","house":"1","str":"a b 1"}}]
ORDER
POST
    chmod 755 "$root/root/post"
}

# write_settings: one publication where anybody may post, after what the package brings.
write_settings() {
    cat >>"$root/etc/aqua-orders/aqua-orders.toml" <<'TOML'

[operator]
listen = "127.0.0.1:9888"

[[publication]]
name = "demo"
anonymous = true
TOML
}

# boot: from then on there is `inside`.
boot() {
    systemd-nspawn --quiet --directory="$root" --boot --private-network --register=no --keep-unit \
        </dev/null >"$scratch/console" 2>&1 &
    nspawn=$!
    within 60 is_booted || give_up "no systemd starts here, so nothing was tried: $(tail -n 3 "$scratch/console")"
    # The server that Debian starts is not the service's.
    inside systemctl --quiet disable --now postgresql
}
is_booted() {
    # nspawn's only child.
    machine=$(cut -d' ' -f1 "/proc/$nspawn/task/$nspawn/children" 2>/dev/null) && [ -n "$machine" ] &&
        inside systemctl is-system-running 2>/dev/null | grep -qx 'running\|degraded'
}
inside() {
    nsenter --target "$machine" --all -- \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}
# database COMMAND…: one of PostgreSQL's programs on the service's own database.
database() {
    program=$1
    shift
    inside runuser -u aqua-orders -- "$program" --host=/var/lib/aqua-orders/postgres --username=aqua_orders --dbname=aqua_orders "$@"
}

mode() { says "^$2\$" inside stat -c '%a %U:%G' "$1"; }
there() { [ -e "$root$1" ]; }
gone() { [ ! -e "$root$1" ]; }
property() { inside systemctl show aqua-orders --property="$1" --value; }
