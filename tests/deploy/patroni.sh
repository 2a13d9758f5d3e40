#!/bin/sh
# shellcheck disable=SC1091,SC2154 # $dir/settings
# Two PostgreSQL servers under Patroni, with one etcd, on this machine's loopback: to see what a failover does to the
# service, and a model for a real set-up, which has three etcds and a machine for each node.
#
#   tests/deploy/patroni.sh up DIR        makes and starts them in DIR; the last line is the URL for the service
#   tests/deploy/patroni.sh status DIR    a line for each node: name, role, port, the postmaster's process id
#   tests/deploy/patroni.sh primary DIR   the primary's name and its postmaster's process id
#   tests/deploy/patroni.sh kill DIR      kill -9 of the primary's Patroni and PostgreSQL: that node is lost
#   tests/deploy/patroni.sh crash DIR     kill -9 of the primary's PostgreSQL alone: its Patroni hands over
#   tests/deploy/patroni.sh revive DIR    starts what was lost, and waits until it is the synchronous standby
#   tests/deploy/patroni.sh down DIR      stops everything and removes DIR
#
# Started as root, the servers run as the user postgres, who must be able to enter DIR.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/scripts/ensure.sh"

usage() { sed -n '6,12s/^# *//p' "$0" >&2; exit 2; }
[ $# -eq 2 ] || usage
command=$1
dir=$2
case $command in up | status | primary | kill | crash | revive | down) ;; *) usage ;; esac

# How long anything is waited for, in tenths of a second: two minutes, for a machine that is busy with other things.
patience=1200

ensure_programs() {
    ensure_postgres
    command -v curl >/dev/null || install curl
    command -v etcd >/dev/null || install_programs etcd-server
    # Its client for etcd is only one of those that the package is content with.
    if ! command -v patroni >/dev/null || ! [ -e /usr/lib/python3/dist-packages/etcd ]; then
        install_programs patroni python3-etcd
    fi
}

password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# daemon NAME COMMAND…: in the background, apart from this terminal and its environment, with its process id in a file.
daemon() {
    name=$1
    shift
    # shellcheck disable=SC2016
    (cd / && as_postgres env -i PATH="$PATH" HOME="$dir" LANG=C.UTF-8 \
        setsid sh -c 'echo $$ >"$0.pid"; exec "$@"' "$dir/$name" "$@") \
        >>"$dir/$name.log" 2>&1 </dev/null &
}

# is_ours PID: it lives, and is not somebody else who got the number of one that died.
is_ours() { [ -n "$1" ] && { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF "$dir/"; }
pid_of() { pid=$(head -n 1 "$dir/$1" 2>/dev/null) && is_ours "$pid" && echo "$pid"; }
patroni_pid() { pid_of "$1.pid"; }
postmaster_pid() { pid_of "$1/postmaster.pid"; }
# The processes of a postmaster, with itself.
family() {
    echo "$1"
    sed -n "s/^\([0-9]*\) (.*) [A-Z] $1 .*/\1/p" /proc/[0-9]*/stat 2>/dev/null || true
}

port_of() { case $1 in node1) echo "$node1_port" ;; node2) echo "$node2_port" ;; esac; }
api_of() { case $1 in node1) echo "$node1_api" ;; node2) echo "$node2_api" ;; esac; }
other() { case $1 in node1) echo node2 ;; node2) echo node1 ;; esac; }

# sql NODE STATEMENT: as the superuser, who need not wait for the standby.
sql() {
    PGPASSWORD=$superuser_password PGCONNECT_TIMEOUT=2 PGOPTIONS='-c synchronous_commit=local' \
        "$bin/psql" -XAtq -h 127.0.0.1 -p "$(port_of "$1")" -U postgres -d postgres -c "$2" 2>/dev/null
}
# says NODE PATH: Patroni answers 200, for yes.
says() { curl -fs --noproxy '*' --max-time 2 -o /dev/null "http://127.0.0.1:$(api_of "$1")/$2"; }

# It has the lock, and takes writes: the one comes before the other.
is_primary() { says "$1" primary && [ "$(sql "$1" 'SELECT pg_is_in_recovery()')" = f ]; }
# Patroni would promote it, and commits do wait for it.
is_sync() {
    says "$1" synchronous &&
        [ "$(sql "$(other "$1")" "SELECT count(*) FROM pg_stat_replication WHERE application_name = '$1' AND sync_state = 'sync'")" = 1 ]
}
the_primary() {
    for node in node1 node2; do
        if is_primary "$node"; then
            echo "$node"
            return
        fi
    done
    return 1
}
both_run() {
    for node in node1 node2; do
        if is_primary "$node"; then
            is_sync "$(other "$node")"
            return
        fi
    done
    return 1
}

# wait_for WHAT COMMAND…
wait_for() {
    what=$1
    shift
    tenths=0
    until "$@"; do
        [ "$tenths" -lt "$patience" ] || give_up "waited in vain for $what; the logs are in $dir"
        tenths=$((tenths + 2))
        sleep 0.2
    done
}

gone() {
    for pid in "$@"; do
        # What is dead and not waited for yet (a zombie) has an empty command line.
        [ -z "$({ tr -d '\0' <"/proc/$pid/cmdline"; } 2>/dev/null)" ] || return 1
    done
}

load() {
    [ -f "$dir/settings" ] || give_up "$dir holds no cluster: tests/deploy/patroni.sh up $dir"
    dir=$(cd "$dir" && pwd)
    bin=$(postgres_bin)
    . "$dir/settings"
}

start_etcd() {
    daemon etcd etcd --name etcd --data-dir "$dir/etcd" --logger zap --log-level warn \
        --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$etcd_peer_port" \
        --initial-advertise-peer-urls "http://127.0.0.1:$etcd_peer_port" \
        --initial-cluster "etcd=http://127.0.0.1:$etcd_peer_port"
}

start_node() { daemon "$1" patroni "$dir/$1.yml"; }

# node_settings NAME PORT API-PORT
node_settings() {
    cat <<YAML
scope: aqua
name: $1

restapi:
  listen: 127.0.0.1:$3
  connect_address: 127.0.0.1:$3

etcd3:
  hosts: ["127.0.0.1:$etcd_port"]

bootstrap:
  # Kept in etcd from the first start on; later changes go through \`patronictl edit-config\`.
  dcs:
    # A primary that was lost with its Patroni is missed after \`ttl\` seconds, and that is most of a failover. Patroni
    # asks for loop_wait + 2 * retry_timeout <= ttl; newer versions raise what is below 20, 1 and 3. On real networks
    # take 20: what is shorter also takes a slow etcd for a lost one.
    ttl: 8
    loop_wait: 1
    retry_timeout: 3
    # A primary whose PostgreSQL died is not restarted where a standby can take over. Besides being faster, this is safer:
    # a restarted primary shows what it had committed and the standby had not confirmed.
    primary_start_timeout: 0
    # A commit waits for the standby's disk, and only a standby that has it all is ever promoted. While no standby is
    # there, the primary goes on by itself, and what it then takes is on one disk. \`synchronous_mode_strict: true\` would
    # have it wait instead: no order is ever on one disk only, and the loss of either node stops the intake (503) until
    # the node is back, or a third one takes its place. With three nodes take strict: it also closes a gap that a Patroni
    # leaves which died alone and comes back to its PostgreSQL (docs/deployment.md).
    synchronous_mode: true
    synchronous_mode_strict: false
    # A synchronous standby has all that was confirmed; that it has not all of a large import, which was not, must not
    # keep it from taking over.
    maximum_lag_on_failover: 1073741824
    # An etcd that does not answer is no reason to stop, as long as both nodes see each other.
    failsafe_mode: true
    postgresql:
      # The lost primary comes back by undoing what only it has, where that is possible …
      use_pg_rewind: true
      use_slots: true
      parameters:
        # The standby's disk, too; the service refuses less (may_lose_orders).
        synchronous_commit: "on"
        max_connections: 100
        # What a node that was away for a while still needs.
        wal_keep_size: 256MB
        # A standby that hangs, or is cut off, holds up commits for so long.
        wal_sender_timeout: 5s
        wal_receiver_timeout: 5s
        # How soon a standby asks again for a primary.
        wal_retrieve_retry_interval: 500ms
  initdb:
    - encoding: UTF8
    - locale: C
    - data-checksums
  post_bootstrap: $bin/psql -X -q -v ON_ERROR_STOP=1 -f $dir/aqua.sql -d

postgresql:
  listen: 127.0.0.1:$2
  connect_address: 127.0.0.1:$2
  data_dir: $dir/$1
  bin_dir: $bin
  pgpass: $dir/$1.pgpass
  authentication:
    superuser: { username: postgres, password: $superuser_password }
    replication: { username: replicator, password: $replication_password }
  parameters:
    # TCP is enough, and a socket's path must be shorter than many a folder's.
    unix_socket_directories: ""
    shared_buffers: 64MB
  pg_hba:
    - host all all 127.0.0.1/32 scram-sha-256
    - host replication replicator 127.0.0.1/32 scram-sha-256
  # … and by copying all anew where it is not.
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  basebackup:
    - checkpoint: fast

# On machines of their own: mode: required. /dev/watchdog then resets a primary whose Patroni hangs or died, for it would
# go on as a second primary. Here it would reset everything.
watchdog:
  mode: "off"
YAML
}

up() {
    ensure_programs
    [ -z "$(ls -A "$dir" 2>/dev/null)" ] || give_up "$dir is not empty."
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    case $dir in *[!A-Za-z0-9._/+-]*) give_up "$dir: please a path of letters, digits and ._/+- (it goes into settings)." ;; esac
    bin=$(postgres_bin)
    # shellcheck disable=SC2046
    set -- $(free_ports 6)
    umask 077
    cat >"$dir/settings" <<SETTINGS
etcd_port=$1
etcd_peer_port=$2
node1_port=$3
node2_port=$4
node1_api=$5
node2_api=$6
superuser_password=$(password)
replication_password=$(password)
aqua_password=$(password)
SETTINGS
    . "$dir/settings"
    # It owns its schema, for the service's migrations make the tables, and is no superuser.
    cat >"$dir/aqua.sql" <<SQL
CREATE ROLE aqua LOGIN PASSWORD '$aqua_password';
CREATE DATABASE aqua OWNER aqua;
\connect aqua
ALTER SCHEMA public OWNER TO aqua;
SQL
    node_settings node1 "$node1_port" "$node1_api" >"$dir/node1.yml"
    node_settings node2 "$node2_port" "$node2_api" >"$dir/node2.yml"
    [ "$(id -u)" -ne 0 ] || chown -R "$(postgres_user)" "$dir"
    (cd / && as_postgres test -w "$dir") || give_up "$(postgres_user) cannot enter $dir: name a folder under /tmp or /var/tmp."

    start_etcd
    start_node node1
    # The first has to be the one that makes the database; the other then copies it.
    wait_for "the first node" is_primary node1
    start_node node2
    wait_for "the standby" both_run
    say "$(status)"
    echo "postgres://aqua:$aqua_password@127.0.0.1:$node1_port,127.0.0.1:$node2_port/aqua"
}

status() {
    for node in node1 node2; do
        if ! pid=$(postmaster_pid "$node"); then
            role=down
            pid=-
        elif is_primary "$node"; then
            role=primary
        elif is_sync "$node"; then
            role=sync_standby
        else
            role=standby
        fi
        echo "$node $role $(port_of "$node") $pid"
    done
}

primary() {
    node=$(the_primary) || give_up "there is no primary at the moment"
    echo "$node $(postmaster_pid "$node")"
}

kill_node() {
    node=$(the_primary) || give_up "there is no primary to kill"
    pid=$(postmaster_pid "$node")
    # With all of PostgreSQL's processes, at one blow, as a power cut takes them: without that, one that is busy would
    # live on for a while.
    # shellcheck disable=SC2046
    set -- $(patroni_pid "$node") $(family "$pid")
    kill -KILL "$@"
    wait_for "the death of $node" gone "$@"
    echo "$node $pid"
}

crash() {
    node=$(the_primary) || give_up "there is no primary to kill"
    pid=$(postmaster_pid "$node")
    kill -KILL "$pid"
    echo "$node $pid"
}

revive() {
    pid_of etcd.pid >/dev/null || start_etcd
    for node in node1 node2; do
        patroni_pid "$node" >/dev/null && continue
        # A PostgreSQL that outlived its Patroni must not see it come back: a starting Patroni first takes away
        # synchronous_standby_names, and for a second the old primary would confirm what nobody else has.
        if pid=$(postmaster_pid "$node"); then
            # shellcheck disable=SC2046
            set -- $(family "$pid")
            kill -KILL "$@" 2>/dev/null || true
            wait_for "the death of $node" gone "$@"
        fi
        # Started sooner it would find the lock its own, and simply go on as the primary.
        if patroni_pid "$(other "$node")" >/dev/null; then
            wait_for "$(other "$node") to take over" is_primary "$(other "$node")"
        fi
        start_node "$node"
    done
    wait_for "a primary and its synchronous standby" both_run
    status
}

down() {
    # A cluster that was never made is down, and so is one that is gone.
    [ -f "$dir/settings" ] || return 0
    load
    # Patroni stops its PostgreSQL; a postmaster that has lost its Patroni is stopped by us.
    pids=
    for file in node1.pid node2.pid; do
        pid=$(pid_of "$file") && pids="$pids $pid"
    done
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill -TERM $pids 2>/dev/null || true
    tenths=0
    # shellcheck disable=SC2086
    until gone $pids || [ "$tenths" -ge 150 ]; do
        tenths=$((tenths + 2))
        sleep 0.2
    done
    for node in node1 node2; do
        pid=$(patroni_pid "$node") && kill -KILL "$pid" 2>/dev/null
        # shellcheck disable=SC2046
        pid=$(postmaster_pid "$node") && kill -KILL $(family "$pid") 2>/dev/null
    done
    pid=$(pid_of etcd.pid) && kill -KILL "$pid" 2>/dev/null
    rm -rf "$dir"
}

case $command in
up) up ;;
down) down ;;
kill) load && kill_node ;;
*) load && "$command" ;;
esac
