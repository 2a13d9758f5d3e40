#!/bin/sh
# Fuzzes: every target for so many seconds (300 unless told), one after another; or only those named behind it.
# What it finds stands in fuzz/artifacts/, what it goes on from in fuzz/work/; neither is committed (docs/fuzzing.md).
#
#   fuzz/run.sh [SECONDS [TARGET…]]
set -eu
cd "$(dirname "$0")/.."
. scripts/ensure.sh

seconds=${1:-300}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- amount answer phone datetime credentials path forwarded import body order
case $seconds in
'' | *[!0-9]*) give_up "fuzz/run.sh [SECONDS [TARGET…]]: \"$seconds\" is no number of seconds" ;;
esac

ensure_rust
command -v c++ >/dev/null || install g++
if ! cargo fuzz --version >/dev/null 2>&1; then
    say "installing cargo-fuzz"
    cargo install cargo-fuzz --locked ||
        give_up "cargo-fuzz could not be installed (what cargo says stands above): nothing is fuzzed. The kept inputs are tested without it: cargo test --test it fuzz"
fi
# AddressSanitizer is for nightly alone; stable can do without one.
sanitizer=address
if rustup run nightly rustc --version >/dev/null 2>&1; then
    toolchain=+nightly
else
    say "note: there is no nightly Rust (rustup toolchain install nightly): fuzzing with stable, WITHOUT a sanitizer"
    toolchain=+stable
    sanitizer=none
fi

failed=
for target in "$@"; do
    say "$target: $seconds seconds, sanitizer: $sanitizer"
    dictionary=
    [ ! -f "fuzz/dict/$target.dict" ] || dictionary="-dict=fuzz/dict/$target.dict"
    mkdir -p "fuzz/work/$target"
    # shellcheck disable=SC2086
    cargo "$toolchain" fuzz run --sanitizer "$sanitizer" "$target" "fuzz/work/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1 $dictionary || failed="$failed $target"
done
[ -z "$failed" ] || give_up "found something:$failed (fuzz/artifacts/)"
say "nothing found"
