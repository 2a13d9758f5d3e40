#!/bin/sh
# Runs every test: installs what is missing (PostgreSQL above all; the tests start their own server, away from any other).
# `./test.sh faults` instead causes every fault again and again, under load, and prints what became of the orders; then it
# has crowds take up what they can, and prints how an honest sender fares beside them. `./test.sh failover` does the same
# to the primary of two servers under Patroni.
set -eu
cd "$(dirname "$0")"
. scripts/ensure.sh

ensure_rust
ensure_postgres
# Tests name no server of their own choice; a DATABASE_URL that happens to be set is nobody's business here.
unset DATABASE_URL DATABASE_URL_FILE AQUA_LISTEN AQUA_OPERATOR_LISTEN AQUA_CONFIG AQUA_DATA_DIR AQUA_BACKUP_FOLDER
if [ "${1:-}" = faults ]; then
    exec cargo test --release --locked --test it -- --ignored --exact fault_run::the_fault_run crowd::the_crowds --nocapture --test-threads 1
fi
if [ "${1:-}" = failover ]; then
    exec cargo test --release --locked --test it -- --ignored --exact fault_run::the_failover_run --nocapture
fi
if cargo fmt --version >/dev/null 2>&1; then
    cargo fmt --check
else
    say "note: rustfmt is not installed (rustup component add rustfmt): formatting is not checked"
fi
if cargo clippy --version >/dev/null 2>&1; then
    cargo clippy --locked --all-targets -- -D warnings
else
    say "note: clippy is not installed (rustup component add clippy): lints are not checked"
fi
scripts/deny.sh
scripts/promtool.sh
scripts/sqlx-prepare.sh --check
exec cargo test --locked "$@"
