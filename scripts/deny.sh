#!/bin/sh
# Holds every crate of both lock files to deny.toml. Says so where a part could not be checked; never installs anything.
set -eu
cd "$(dirname "$0")/.."
. scripts/ensure.sh

if ! cargo deny --version >/dev/null 2>&1; then
    say "note: cargo-deny is not installed (cargo install cargo-deny --locked): licences, sources and advisories are not checked"
    exit 0
fi
# deny MANIFEST CHECK…
deny() {
    manifest=$1
    shift
    cargo deny --locked --manifest-path "$manifest" --config deny.toml check --hide-inclusion-graph "$@"
}
deny Cargo.toml bans licenses sources
# The fuzzers are given to nobody, so their licences are their own affair.
deny fuzz/Cargo.toml --allow unnecessary-skip bans sources
# A database that cannot be fetched is no fault of the code.
if timeout 60 cargo deny fetch db >/dev/null 2>&1; then
    deny Cargo.toml advisories
    deny fuzz/Cargo.toml advisories
else
    say "note: the advisory database cannot be fetched here: advisories were SKIPPED"
fi
