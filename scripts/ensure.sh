# Sourced by run.sh, test.sh and bench.sh: what the machine must have, installed where we may, said plainly where we may not.
# shellcheck shell=sh

say() { printf '%s\n' "$*" >&2; }
give_up() { say "$@"; exit 1; }

# as_root COMMAND…: as root, or with a sudo that asks for no password; fails where neither is to be had.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# install PACKAGE…: through apt.
install() {
    if ! command -v apt-get >/dev/null; then
        give_up "Please install by hand: $* (there is no apt here), then start again."
    fi
    as_root true >/dev/null 2>&1 ||
        give_up "Please install as root: apt-get install --no-install-recommends $*, then start again."
    say "installing $*"
    apt_install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2; }
    apt_install "$@" || { as_root apt-get update -q >&2 && apt_install "$@"; } ||
        give_up "apt could not install $*; what it says stands above."
}

# install_programs PACKAGE…: the same without the services that some packages start, now and whenever the machine starts:
# whoever tries out a proxy wants its program, and no server on port 80.
install_programs() {
    enabled() { systemctl list-unit-files --no-legend --state=enabled 2>/dev/null | cut -d' ' -f1 | tr '\n' ' '; }
    before=$(enabled)
    policy=/usr/sbin/policy-rc.d
    # A policy that is there already starts nothing, as in a container, or is somebody's own.
    if [ -e "$policy" ] || ! as_root true >/dev/null 2>&1; then policy=; fi
    if [ -n "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    # In a subshell, for the policy must go again when it gives up.
    if (install "$@"); then failed=; else failed=1; fi
    [ -z "$policy" ] || as_root rm -f "$policy"
    [ -z "$failed" ] || exit 1
    for unit in $(enabled); do
        case " $before" in
        *" $unit "*) ;;
        *) as_root systemctl --quiet disable "$unit" >&2 || true ;;
        esac
    done
}

# Rust itself, the C compiler that links and builds ring and zstd, and make, with which jemalloc is built.
ensure_rust() {
    command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || give_up "Rust is missing: install it from https://rustup.rs, then start again."
    command -v cc >/dev/null || install gcc libc6-dev
    command -v make >/dev/null || install make
}

# The folder of PostgreSQL's server programs, the newest that will do; empty where there is none.
postgres_bin() {
    if [ -n "${AQUA_POSTGRES_BIN:-}" ]; then
        printf '%s\n' "$AQUA_POSTGRES_BIN"
        return
    fi
    for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5,5 -n -r); do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then
            printf '%s\n' "$folder"
            return
        fi
    done
    if command -v postgres >/dev/null && command -v initdb >/dev/null; then
        dirname "$(command -v postgres)"
    elif command -v pg_config >/dev/null && [ -x "$(pg_config --bindir)/postgres" ]; then
        pg_config --bindir
    fi
}

ensure_postgres() {
    [ -n "$(postgres_bin)" ] || install postgresql
    [ -n "$(postgres_bin)" ] || give_up "PostgreSQL's server programs are not found; name their folder in AQUA_POSTGRES_BIN."
}

# As whom PostgreSQL runs: it refuses root.
postgres_user() {
    if [ "$(id -u)" -ne 0 ]; then
        id -un
    else
        id postgres >/dev/null 2>&1 ||
            give_up "There is no user postgres: make one (useradd --system postgres), or start this as an ordinary user."
        echo postgres
    fi
}

# as_postgres COMMAND…: runs it as that user.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        user=$(postgres_user) || exit 1
        runuser -u "$user" -- "$@"
    else
        "$@"
    fi
}

# free_ports COUNT: ports of 127.0.0.1 that nobody listens on, below those that the system gives to outgoing connections:
# nobody takes one while the server that it is for is down for a while.
free_ports() {
    ports=
    # shellcheck disable=SC2086
    until set -- "$1" $ports && [ $# -gt "$1" ]; do
        port=$((15000 + $(od -An -N2 -tu2 /dev/urandom) % 17000))
        case " $ports " in *" $port "*) continue ;; esac
        if ! grep -qi ":$(printf %04X "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null; then ports="$ports $port"; fi
    done
    echo "${ports# }"
}
