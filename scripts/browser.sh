#!/bin/sh
# Tries the operator's console in a real browser (tests/browser). Installs node, chromium and the two npm packages where it may;
# where it cannot, it says so in a line and fails nobody.
# AQUA_PICTURES=FOLDER keeps the pictures of docs/console.ru.md there.
set -eu
cd "$(dirname "$0")/.."
. scripts/ensure.sh

skip() { say "note: $*: the console was NOT tried in a browser"; exit 0; }

# first PROGRAM…: the first of them that is here.
first() {
    for program in "$@"; do command -v "$program" && return; done
    return 1
}
command -v node >/dev/null && command -v npm >/dev/null || (install nodejs npm) || skip "there is no node"
case $(node --version) in
v[0-9].* | v1[0-9].*) skip "node $(node --version) is too old" ;;
esac
browsers="chromium chromium-browser google-chrome"
# shellcheck disable=SC2086
first $browsers >/dev/null || (install chromium) || skip "there is no chromium"
# shellcheck disable=SC2086
AQUA_CHROMIUM=$(first $browsers) && "$AQUA_CHROMIUM" --version >/dev/null 2>&1 || skip "chromium does not start"

ensure_rust
ensure_postgres
(
    cd tests/browser
    if ! cmp -s package-lock.json node_modules/installed; then
        timeout 300 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
        cp package-lock.json node_modules/installed
    fi
) || skip "npm could not install playwright-core and axe-core"
cargo build --locked

AQUA_PROGRAM=$(realpath "${CARGO_TARGET_DIR:-target}/debug/aqua-orders")
export AQUA_CHROMIUM AQUA_PROGRAM
[ -z "${AQUA_PICTURES:-}" ] || AQUA_PICTURES=$(realpath "$AQUA_PICTURES")
exec npm --prefix tests/browser test --silent
