#!/bin/sh
# Checks what Prometheus is given: its settings, the alert rules, and their tests. Installs nothing.
set -eu
cd "$(dirname "$0")/.."
. scripts/ensure.sh

if ! command -v promtool >/dev/null; then
    say "note: promtool is not installed (Debian: apt-get install prometheus): the alert rules are not checked"
    exit 0
fi
# What goes well is said in many lines.
quietly() { said=$("$@" 2>&1) || give_up "$said"; }
quietly promtool check config deploy/prometheus/prometheus.yml
quietly promtool test rules deploy/prometheus/alerts_test.yml
