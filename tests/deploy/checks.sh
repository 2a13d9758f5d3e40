# Sourced by what tries an installation: a line for each check. What a command said is kept in the folder `scratch`.
# shellcheck shell=sh disable=SC2034,SC2154

# within SECONDS COMMAND…: until it succeeds.
within() {
    left=$1
    shift
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 1
    done
}
failed=0
# check WHAT COMMAND…: the command succeeds.
check() {
    what=$1
    shift
    if "$@" >"$scratch/said" 2>&1; then
        echo "ok    $what"
    else
        echo "FAULT $what"
        tail -n 20 "$scratch/said" | sed 's/^/      /'
        failed=1
    fi
}
# says TEXT COMMAND…: a line of what it prints is like that.
says() {
    wanted=$1
    shift
    "$@" >"$scratch/text" 2>&1 || true
    grep -q -- "$wanted" "$scratch/text" || { cat "$scratch/text" && return 1; }
}
