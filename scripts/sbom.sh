#!/bin/sh
# Lists the crates that are in the program, with versions, hashes and licences, as CycloneDX: target/aqua-orders.cdx.json. The
# package and the image have it in.
set -eu
cd "$(dirname "$0")/.."
. scripts/ensure.sh

ensure_rust
cargo cyclonedx --version >/dev/null 2>&1 || cargo install cargo-cyclonedx --locked --version 0.5.9
# Without the builder's folder, which it names us by.
trap 'rm -f aqua-orders_bin.cdx.json' EXIT
cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries --no-build-deps --target "$(rustc -vV | sed -n 's/^host: //p')"
mkdir -p target
sed "s,path+file://$PWD#,pkg:cargo/,g" aqua-orders_bin.cdx.json >target/aqua-orders.cdx.json
