#!/bin/sh
# Holds docs/openapi.json to Redocly's recommended rules, warnings too. Where there is no node, or the linter cannot be had, it says
# so and fails nobody.
set -eu
cd "$(dirname "$0")/.."
. scripts/ensure.sh

export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
redocly() { timeout 120 npm exec --yes --loglevel=error --package=@redocly/cli@2.77.0 -- redocly "$@" 2>&1; }
if ! redocly --version >/dev/null; then
    say "note: there is no node, or npm cannot fetch @redocly/cli: docs/openapi.json is not linted"
    exit 0
fi
said=$(redocly lint --extends recommended-strict docs/openapi.json) || give_up "$said"
