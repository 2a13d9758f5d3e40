//! What is measured of each target: set by whoever sends to it, at every look.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::gauges::{Amount, Count, register};

type OfTarget = [(&'static str, String); 2];
type OfOutcome = [(&'static str, String); 3];

/// What became of orders that were sent.
const OUTCOMES: [&str; 3] = ["taken", "refused", "failed"];

/// All targets.
pub struct Targets {
    lag_orders: Family<OfTarget, Count>,
    lag: Family<OfTarget, Amount>,
    oldest: Family<OfTarget, Amount>,
    parked: Family<OfTarget, Count>,
    dead: Family<OfTarget, Count>,
    failures: Family<OfTarget, Count>,
    refuses_us: Family<OfTarget, Count>,
    paused: Family<OfTarget, Count>,
    sent: Family<OfOutcome, Counter>,
}

/// One of them.
pub struct TargetMetrics {
    lag_orders: Count,
    lag: Amount,
    oldest: Amount,
    parked: Count,
    dead: Count,
    failures: Count,
    refuses_us: Count,
    paused: Count,
    taken: Counter,
    refused: Counter,
    failed: Counter,
}

/// How a target stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub lag_orders: i64,
    pub lag: Duration,
    pub parked: i64,
    pub dead: i64,
    pub failures: i32,
    pub refuses_us: bool,
    pub paused: bool,
}

impl Targets {
    #[rustfmt::skip]
    pub(super) fn register(to: &mut Registry) -> Self {
        Self {
            lag_orders: register(to, "aqua_target_lag_orders", "Orders that the target does not have as they are now, 10000 at most, without those it refused"),
            lag: register(to, "aqua_target_lag_seconds", "How long ago the oldest of these was changed, when the target was looked at"),
            oldest: register(to, "aqua_target_oldest_change_timestamp_seconds", "When the oldest of these was changed, in seconds since 1970; 0: there is none"),
            parked: register(to, "aqua_target_parked_orders", "Orders that the target refused and that are tried again"),
            dead: register(to, "aqua_target_dead_orders", "Orders that the target refused to the last try"),
            failures: register(to, "aqua_target_failures", "Requests to the target that failed one after another"),
            refuses_us: register(to, "aqua_target_refuses_us", "Whether the target refuses our credentials or the address (401, 403, 404)"),
            paused: register(to, "aqua_target_paused", "Whether an operator paused the target"),
            sent: register(to, "aqua_target_orders", "Orders sent to the target, by what became of them"),
        }
    }

    pub(super) fn of(&self, publication: &str, target: &str) -> TargetMetrics {
        let label = of_target(publication, target);
        let sent = |outcome: &str| {
            let label = of_outcome(publication, target, outcome);
            self.sent.get_or_create_owned(&label)
        };
        let [taken, refused, failed] = OUTCOMES.map(sent);
        TargetMetrics {
            lag_orders: self.lag_orders.get_or_create_owned(&label),
            lag: self.lag.get_or_create_owned(&label),
            oldest: self.oldest.get_or_create_owned(&label),
            parked: self.parked.get_or_create_owned(&label),
            dead: self.dead.get_or_create_owned(&label),
            failures: self.failures.get_or_create_owned(&label),
            refuses_us: self.refuses_us.get_or_create_owned(&label),
            paused: self.paused.get_or_create_owned(&label),
            taken,
            refused,
            failed,
        }
    }

    /// Its series end.
    pub(super) fn remove(&self, publication: &str, target: &str) {
        let label = of_target(publication, target);
        for family in [
            &self.lag_orders,
            &self.parked,
            &self.dead,
            &self.failures,
            &self.refuses_us,
            &self.paused,
        ] {
            family.remove(&label);
        }
        for family in [&self.lag, &self.oldest] {
            family.remove(&label);
        }
        for outcome in OUTCOMES {
            self.sent.remove(&of_outcome(publication, target, outcome));
        }
    }
}

fn of_target(publication: &str, target: &str) -> OfTarget {
    [
        ("publication", publication.to_owned()),
        ("target", target.to_owned()),
    ]
}

fn of_outcome(publication: &str, target: &str, outcome: &str) -> OfOutcome {
    let [publication, target] = of_target(publication, target);
    [publication, target, ("outcome", outcome.to_owned())]
}

impl TargetMetrics {
    pub fn stands(&self, standing: Standing) {
        self.lag_orders.set(standing.lag_orders);
        self.lag.set(standing.lag.as_secs_f64());
        let oldest = (standing.lag_orders > 0)
            .then(|| SystemTime::now().checked_sub(standing.lag))
            .flatten();
        let oldest = oldest.and_then(|oldest| oldest.duration_since(UNIX_EPOCH).ok());
        self.oldest.set(oldest.unwrap_or_default().as_secs_f64());
        self.parked.set(standing.parked);
        self.dead.set(standing.dead);
        self.failures.set(standing.failures.into());
        self.refuses_us.set(standing.refuses_us.into());
        self.paused.set(standing.paused.into());
    }

    /// A request came to an end: so many orders were taken, refused, or sent in vain.
    pub fn sent(&self, taken: usize, refused: usize, failed: usize) {
        self.taken.inc_by(taken as u64);
        self.refused.inc_by(refused as u64);
        self.failed.inc_by(failed as u64);
    }
}
