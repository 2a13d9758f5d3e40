#!/bin/sh
# Runs every test: installs what is missing (PostgreSQL above all; the tests start their own server, away from any other).
# `./test.sh faults` instead causes every fault again and again, under load, and prints what became of the orders, and what
# readers of the feed saw of them. It has a target away for AQUA_OUTAGE_SECONDS (60), and a feed of AQUA_FEED_ORDERS (1000000)
# read to its end. Then it has crowds take up what they can, and prints how an honest sender fares beside them.
# `./test.sh failover` does the same to the primary of two servers under Patroni. `./test.sh citus` kills the nodes of a Citus
# cluster and moves shards under load, compares it with plain PostgreSQL, and runs the suite's promises on it, where PostgreSQL
# has Citus. `./test.sh browser` only tries the console in a browser.
set -eu
cd "$(dirname "$0")"
. scripts/ensure.sh

ensure_rust
ensure_postgres
# Tests name no server of their own choice; a DATABASE_URL that happens to be set is nobody's business here.
unset DATABASE_URL DATABASE_URL_FILE AQUA_LISTEN AQUA_OPERATOR_LISTEN AQUA_CONFIG AQUA_DATA_DIR AQUA_BACKUP_FOLDER
if [ "${1:-}" = browser ]; then
    exec scripts/browser.sh
fi
if [ "${1:-}" = faults ]; then
    exec cargo test --release --locked --test it -- --ignored --exact fault_run::the_fault_run \
        exchange_run::the_feed_run exchange_run::the_outage_run exchange_run::the_long_feed_run crowd::the_crowds \
        --nocapture --test-threads 1
fi
if [ "${1:-}" = failover ]; then
    exec cargo test --release --locked --test it -- --ignored --exact fault_run::the_failover_run --nocapture
fi
if [ "${1:-}" = citus ]; then
    library=$(dirname "$(realpath "$(postgres_bin)/postgres")")/../lib/citus.so
    if [ ! -e "$library" ]; then
        say "note: this PostgreSQL has no Citus: nothing is tried on it"
        exit 0
    fi
    cargo test --release --locked --test it -- --ignored citus:: --nocapture --test-threads 1
    # Not among them: tests of PostgreSQL's own settings, and those that do by hand what Citus does not do to spread tables
    # (triggers, joins over all publications, the locks of others); and those that stop what a batch sends on its way to the
    # coordinator, for it does not go there; and the one that counts what the console reads, for the coordinator counts nothing at
    # the workers.
    AQUA_TEST_CITUS=1 exec cargo test --release --locked --test it -- --test-threads 4 \
        people:: identity:: ownership:: real_senders:: answer:: map:: journal:: import:: operator:: order_command:: dry_run:: \
        races:: merged:: example:: client_cache:: remarks:: feed:: results:: reference:: \
        targets:: personal:: pushed:: console:: console_ \
        --skip traces:: \
        --skip an_order_without_created_at_has_the_moment_of_its_first_intake_and_keeps_it \
        --skip promise_1_nothing_is_skipped_whatever_committed_late_hung_or_came_through_another_instance \
        --skip since_never_leaves_out_what_was_changed_from_then_on \
        --skip what_is_too_old_is_removed_of_each_kind_and_nothing_else \
        --skip an_orders_rejected_attempts_are_found_by_their_index \
        --skip a_service_that_can_take_orders_is_alive_and_ready \
        --skip an_order_goes_in_beside_rows_that_somebody_has_locked \
        --skip what_made_way_for_a_lock_keeps_its_order_of_arrival \
        --skip orders_with_remarks_are_removed_as_rejected_ones_are \
        --skip a_batch_whose_time_is_up \
        --skip what_is_changed_is_not_made_anew_by_halves \
        --skip no_page_walks_through_a_table_or_an_index
fi
if cargo fmt --version >/dev/null 2>&1; then
    cargo fmt --check
else
    say "note: rustfmt is not installed (rustup component add rustfmt): formatting is not checked"
fi
if cargo clippy --version >/dev/null 2>&1; then
    cargo clippy --locked --all-targets -- -D warnings
else
    say "note: clippy is not installed (rustup component add clippy): lints are not checked"
fi
scripts/deny.sh
scripts/promtool.sh
scripts/openapi.sh
scripts/sqlx-prepare.sh --check
cargo test --locked "$@"
# Whoever names a test wants that one.
[ $# -gt 0 ] || scripts/browser.sh
