//! What is counted of each publication.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use parking_lot::RwLock;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::gauges::register;
use crate::order::{
    decide::{self, Verdict},
    fault::{FaultCode, WarningCode},
};

/// The values of a metric's labels.
pub(super) type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// What a batch consists of once it is processed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Verdicts {
    pub accepted: usize,
    pub rejected: usize,
    /// Orders stored with remarks: something that came was not taken as it came.
    pub with_remarks: usize,
    /// Faults of what was not stored, as [`FaultCode::ALL`] counts them.
    pub faults: [u64; FaultCode::ALL.len()],
    /// Warnings, as [`WarningCode::ALL`] counts them.
    pub warnings: [u64; WarningCode::ALL.len()],
}

impl Verdicts {
    #[must_use]
    pub fn of(verdicts: &[Verdict]) -> Self {
        let mut counted = Self::default();
        for verdict in verdicts {
            if verdict.is_accepted() {
                counted.accepted += 1;
                counted.with_remarks += usize::from(verdict.has_remarks());
            } else {
                counted.rejected += 1;
            }
            for outcome in &verdict.elements {
                match outcome {
                    decide::Outcome::Taken(taken) => {
                        for warning in &taken.warnings {
                            counted.warnings[warning.code as usize] += 1;
                        }
                    }
                    decide::Outcome::Refused(faults) => {
                        for fault in faults {
                            counted.faults[fault.code as usize] += 1;
                        }
                    }
                }
            }
        }
        counted
    }

    /// Entries of the batch.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.accepted + self.rejected
    }
}

/// All publications of the settings.
pub(super) struct Publications {
    series: Series,
    known: RwLock<HashMap<String, Arc<Publication>>>,
}

/// What there is one of for each publication.
#[derive(Clone)]
struct Series {
    orders: Family<Labels<2>, Counter>,
    faults: Family<Labels<2>, Counter>,
    warnings: Family<Labels<2>, Counter>,
    with_remarks: Family<Labels<1>, Counter>,
    not_kept: Family<Labels<1>, Counter>,
    feed_reads: Family<Labels<1>, Counter>,
    feed_orders: Family<Labels<1>, Counter>,
}

/// One of them.
pub(super) struct Publication {
    name: String,
    series: Series,
    /// Made when something is counted first: ten thousand publications have three hundred thousand series, and most of them
    /// would be zero for ever.
    counters: OnceLock<Counters>,
    /// When its last order was accepted, milliseconds since 1970; 0: none yet.
    last_accepted: AtomicI64,
}

struct Counters {
    accepted: Counter,
    rejected: Counter,
    faults: [Counter; FaultCode::ALL.len()],
    warnings: [Counter; WarningCode::ALL.len()],
    with_remarks: Counter,
    not_kept: Counter,
    feed_reads: Counter,
    feed_orders: Counter,
}

const VERDICTS: [&str; 2] = ["accepted", "rejected"];

impl Publications {
    #[rustfmt::skip]
    pub(super) fn register(to: &mut Registry) -> Self {
        let series = Series {
            orders: register(to, "aqua_orders", "Orders, by verdict"),
            faults: register(to, "aqua_order_faults", "Faults of rejected orders"),
            warnings: register(to, "aqua_order_warnings", "Warnings on accepted orders"),
            with_remarks: register(to, "aqua_orders_with_remarks", "Accepted orders of which a value was left out, rounded or shortened"),
            not_kept: register(to, "aqua_journal_not_kept", "Orders, rejected or with remarks, that the journal had no room for (journal.rejected_bytes_per_day, or a disk that is nearly full)"),
            feed_reads: register(to, "aqua_feed_reads", "Answers to back offices that read the feed"),
            feed_orders: register(to, "aqua_feed_orders", "Orders in these answers"),
        };
        Self { series, known: RwLock::default() }
    }

    pub(super) fn of(&self, publication: &str) -> Option<Arc<Publication>> {
        self.known.read().get(publication).cloned()
    }

    /// Counts for it from now on. Its series begin now, at zero, or when there is something to count.
    pub(super) fn add(&self, name: &str, begins_now: bool) {
        let publication = Publication {
            name: name.to_owned(),
            series: self.series.clone(),
            counters: OnceLock::new(),
            last_accepted: AtomicI64::new(0),
        };
        if begins_now {
            publication.counters();
        }
        let mut known = self.known.write();
        known.insert(name.to_owned(), Arc::new(publication));
    }

    /// Its series end.
    pub(super) fn remove(&self, publication: &str) {
        self.known.write().remove(publication);
        self.series.remove(publication);
    }

    /// When each accepted its last order, in seconds since 1970; of those that did.
    pub(super) fn last_accepted(&self) -> Vec<(String, f64)> {
        let known = self.known.read();
        let moments = known.values().filter_map(|publication| {
            let last = publication.last_accepted.load(Ordering::Relaxed);
            #[expect(
                clippy::cast_precision_loss,
                reason = "to the millisecond for 200,000 years"
            )]
            (last > 0).then(|| (publication.name.clone(), last as f64 / 1000.0))
        });
        moments.collect()
    }
}

impl Series {
    fn begin(&self, publication: &str) -> Counters {
        let [accepted, rejected] = VERDICTS.map(|verdict| {
            (self.orders).get_or_create_owned(&labels(publication, "verdict", verdict))
        });
        let of_code = |family: &Family<Labels<2>, Counter>, code: &'static str| {
            family.get_or_create_owned(&labels(publication, "code", code))
        };
        let of_it =
            |family: &Family<Labels<1>, Counter>| family.get_or_create_owned(&label(publication));
        Counters {
            accepted,
            rejected,
            faults: FaultCode::ALL.map(|code| of_code(&self.faults, code.as_str())),
            warnings: WarningCode::ALL.map(|code| of_code(&self.warnings, code.as_str())),
            with_remarks: of_it(&self.with_remarks),
            not_kept: of_it(&self.not_kept),
            feed_reads: of_it(&self.feed_reads),
            feed_orders: of_it(&self.feed_orders),
        }
    }

    fn remove(&self, publication: &str) {
        for verdict in VERDICTS {
            let labels = labels(publication, "verdict", verdict);
            self.orders.remove(&labels);
        }
        for code in FaultCode::ALL {
            let labels = labels(publication, "code", code.as_str());
            self.faults.remove(&labels);
        }
        for code in WarningCode::ALL {
            let labels = labels(publication, "code", code.as_str());
            self.warnings.remove(&labels);
        }
        for family in [
            &self.with_remarks,
            &self.not_kept,
            &self.feed_reads,
            &self.feed_orders,
        ] {
            family.remove(&label(publication));
        }
    }
}

impl Publication {
    fn counters(&self) -> &Counters {
        self.counters.get_or_init(|| self.series.begin(&self.name))
    }

    pub(super) fn processed(&self, verdicts: &Verdicts) {
        let counters = self.counters();
        counters.accepted.inc_by(verdicts.accepted as u64);
        counters.rejected.inc_by(verdicts.rejected as u64);
        counters.with_remarks.inc_by(verdicts.with_remarks as u64);
        let faults = counters.faults.iter().zip(verdicts.faults);
        let warnings = counters.warnings.iter().zip(verdicts.warnings);
        for (counter, count) in faults.chain(warnings).filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
        if verdicts.accepted > 0 {
            self.accepted_at(Utc::now());
        }
    }

    pub(super) fn not_kept(&self, orders: usize) {
        self.counters().not_kept.inc_by(orders as u64);
    }

    pub(super) fn accepted_at(&self, moment: DateTime<Utc>) {
        let moment = moment.timestamp_millis();
        self.last_accepted.fetch_max(moment, Ordering::Relaxed);
    }

    pub(super) fn feed_read(&self, orders: usize) {
        let counters = self.counters();
        counters.feed_reads.inc();
        counters.feed_orders.inc_by(orders as u64);
    }
}

fn label(publication: &str) -> Labels<1> {
    [("publication", Cow::Owned(publication.to_owned()))]
}

fn labels(publication: &str, name: &'static str, value: &'static str) -> Labels<2> {
    let [publication] = label(publication);
    [publication, (name, value.into())]
}
