#!/bin/sh
# Runs the service with the demo publication, whose orders go on to a second one that plays its 1C: installs what is
# missing, builds, starts. Ctrl-C stops it.
# `./run.sh mock` instead runs the one to try a sender on (`aqua-orders mock`, with its options).
set -eu
cd "$(dirname "$0")"
. scripts/ensure.sh

ensure_rust
if [ "${1:-}" = mock ]; then
    ensure_postgres
    cargo build --release --locked
    exec "${CARGO_TARGET_DIR:-target}/release/aqua-orders" "$@"
fi
if [ -z "${DATABASE_URL:-}" ]; then
    ensure_postgres
    # Started as root, the service becomes somebody else, who cannot enter a checkout under /root; and in an ordinary
    # user's checkout root makes no folder for him.
    if [ -z "${AQUA_DATA_DIR:-}" ] && [ "$(id -u)" -eq 0 ] && [ ! -e data/postgres ] &&
        ! { [ "$(stat -c %u .)" -eq 0 ] && as_postgres test -x "$PWD"; }; then
        export AQUA_DATA_DIR=/var/lib/aqua-orders/postgres
        say "the orders are kept in $AQUA_DATA_DIR, for $(postgres_user) runs the service"
    fi
fi
cargo build --release --locked

listen=${AQUA_LISTEN:-127.0.0.1:8888}
# The demo sends to itself at the usual address; elsewhere it only takes orders.
config=config/demo.toml
[ "$listen" = 127.0.0.1:8888 ] || config=config/default.toml
export AQUA_CONFIG="${AQUA_CONFIG:-$config}"

# The console, with an operator made for this start. Who has settings of his own has operators of his own there.
console=
operator=${AQUA_OPERATOR_LISTEN:-127.0.0.1:9888}
if [ "$AQUA_CONFIG" = "$config" ] && [ -z "${AQUA_CONSOLE_PASSWORD_HASH:-}" ] && [ "$operator" != off ]; then
    password=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
    AQUA_CONSOLE_PASSWORD_HASH=$(echo "$password" | "${CARGO_TARGET_DIR:-target}/release/aqua-orders" hash-password)
    export AQUA_CONSOLE_PASSWORD_HASH
    console="
The operator's console: http://$operator/console
  login admin, password $password (of this start; docs/console.ru.md)
"
fi

cat <<TRY

Once it says "serving", try from another terminal, in this folder:

  curl -sS --data-binary @tests/data/example-request.json http://$listen/demodelivery/hs/AquaDeliveri/getOrdersURL
  AQUA_CONFIG=$AQUA_CONFIG${AQUA_DATA_DIR:+ AQUA_DATA_DIR=$AQUA_DATA_DIR} ${CARGO_TARGET_DIR:-target}/release/aqua-orders target status
$console
TRY
exec "${CARGO_TARGET_DIR:-target}/release/aqua-orders" serve
