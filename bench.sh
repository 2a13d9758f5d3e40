#!/bin/sh
# Repeats docs/performance.md on this machine: builds, measures, and writes the document's table and charts. Nothing but
# PostgreSQL and Rust is needed; the database is a private one in a temporary folder, and gone at the end.
#
#   ./bench.sh               the full run, below 20 minutes
#   ./bench.sh --quick       short rounds and fewer orders, written to cargo's target folder: to try it out
#   ./bench.sh plans         the plans of all statements, to target/tmp/performance/plans.txt
#   ./bench.sh floor --database URL   a running service against what PostgreSQL allows on its database
#   ./bench.sh --help        more
set -eu
cd "$(dirname "$0")"
. scripts/ensure.sh

ensure_rust
ensure_postgres
unset DATABASE_URL AQUA_LISTEN AQUA_OPERATOR_LISTEN AQUA_CONFIG AQUA_DATA_DIR RUST_LOG
# On a disk: a flush to memory, which /tmp may be, is none.
AQUA_BENCH_DIR=$(mktemp -d "${AQUA_BENCH_DIR:-/var/tmp}/aqua-XXXXXX")
export AQUA_BENCH_DIR
chmod 755 "$AQUA_BENCH_DIR"
running() {
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/cwd" 2>/dev/null)" in
        "$AQUA_BENCH_DIR"/*) printf '%s ' "${process#/proc/}" ;;
        esac
    done
}
# The suite cleans up after itself, on Ctrl-C too; this is for when it was killed.
finish() {
    trap '' HUP INT TERM
    for signal in TERM QUIT KILL; do
        left=$(running)
        [ -n "$left" ] || break
        # shellcheck disable=SC2086
        kill -s "$signal" $left 2>/dev/null || true
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            [ -n "$(running)" ] || break
            sleep 0.5
        done
    done
    rm -rf "$AQUA_BENCH_DIR"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

cargo bench --locked --bench performance -- "$@"
