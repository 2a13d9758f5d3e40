#!/bin/sh
# Builds a Debian package of what is checked out: target/debian/aqua-orders_….deb. What is in it says Cargo.toml,
# [package.metadata.deb]; deploy/debian/ has its settings and scripts. tests/deploy/deb.sh tries it.
set -eu
cd "$(dirname "$0")/.."
. scripts/ensure.sh

ensure_rust
cargo deb --version >/dev/null 2>&1 || cargo install cargo-deb --locked --version 3.8.0
command -v dpkg-shlibdeps >/dev/null || install dpkg-dev
stage=target/package
rm -rf "$stage"
mkdir -p "$stage/systemd"
# By hand one installs to /usr/local, a package to /usr.
for file in deploy/systemd/*; do
    sed 's,/usr/local/,/usr/,g' "$file" >"$stage/systemd/${file##*/}"
done
cargo run --quiet --locked --example manual -- "$stage"
gzip -9n "$stage"/man/*
scripts/sbom.sh
cargo build --release --locked
cargo deb --no-build --locked
