//! What is counted and measured, for Prometheus. Labels have values of ours only: names of configured publications, codes.
//! Nothing that a caller sends can make a new one.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{
        counter::Counter, exemplar::HistogramWithExemplars, family::Family, histogram::Histogram,
        info::Info,
    },
    registry::Registry,
};

pub use super::{gauges::Reading, publications::Verdicts};
use super::{
    gauges::{Count, gauges, register},
    plain::plain,
    publications::{Labels, Publications},
    sampled::Sampled,
    targets::{TargetMetrics, Targets},
};
use crate::config::{Config, Publication};

/// Bounds of times, in seconds: an order takes a millisecond or two, a batch of thousands a second, the answer's
/// deadline is 20.
const TIMES: [f64; 19] = [
    0.000_25, 0.000_5, 0.001, 0.001_5, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.02, 0.03, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];
/// Bounds of batches' sizes, in orders.
const SIZES: [f64; 11] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0,
];

/// The outcome of a request whose batch was processed, whatever became of each order. The others are called by their codes.
pub const PROCESSED: &str = "processed";

/// The outcome of a request whose batch was checked, and not stored.
pub const CHECKED: &str = "checked";

/// Why a transaction began again, unseen by the caller (contract §7).
#[derive(Debug, Clone, Copy)]
pub enum Retry {
    /// Somebody else wrote the same records meanwhile.
    Overtaken,
    /// Somebody else gave out a number of ours.
    NumberTaken,
    /// A connection turned out to be broken.
    Connection,
    /// The database refused an order of a shared transaction: each batch is tried apart.
    Refused,
    /// Somebody's lock stood in the way of a shared transaction: each batch is tried apart.
    Locked,
}

/// How long a request took that was let in, and the trace that says where it went, if its spans are sent.
#[derive(Debug, Clone, Copy)]
pub struct Took<'t> {
    pub time: Duration,
    pub trace_id: Option<&'t str>,
}

/// Everything that `/metrics` shows.
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels<1>, Counter>,
    publications: Publications,
    batch_orders: Histogram,
    request_duration: HistogramWithExemplars<[(&'static str, String); 1]>,
    /// Waiting for its turn, of each batch.
    pub queue: Histogram,
    /// Reading, of each transaction.
    pub read: Histogram,
    /// Deciding, of each transaction.
    pub decide: Histogram,
    /// Writing and its commit, of each transaction.
    pub write: Histogram,
    /// Transactions that were begun for batches.
    pub transactions: Counter,
    /// Batches that shared a transaction with others.
    pub coalesced_batches: Counter,
    retries: Family<Labels<1>, Counter>,
    pub connections: Count,
    /// Log lines that strangers cause.
    pub strangers_lines: Arc<Sampled>,
    targets: Targets,
    /// Seconds since 1970.
    started_at: f64,
}

impl Metrics {
    /// Nothing is counted yet. Every label's value is there from the start, at zero, so that a rate can be told of the
    /// first one that comes; but see [`FEW`].
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut registry = Registry::default();
        let to = &mut registry;
        let requests = register(to, "aqua_requests", "Requests, by outcome");
        let publications = Publications::register(to);
        for publication in &config.publications {
            publications.add(&publication.name, begins_now(config, publication));
        }
        let mut histogram = |name, help, bounds: &[f64]| {
            let histogram = Histogram::new(bounds.iter().copied());
            to.register(name, help, histogram.clone());
            histogram
        };
        let batch_orders = histogram("aqua_batch_orders", "Orders in a batch", &SIZES);
        let request_duration = HistogramWithExemplars::new(TIMES.into_iter());
        to.register(
            "aqua_request_duration_seconds",
            "From a request's headers to its answer, of callers who were let in",
            request_duration.clone(),
        );
        let stages =
            Family::<Labels<1>, Histogram, fn() -> Histogram>::new_with_constructor(|| {
                Histogram::new(TIMES)
            });
        to.register(
            "aqua_stage_duration_seconds",
            "What of it a batch waited for its turn, and how long its transaction read, decided, and wrote",
            stages.clone(),
        );
        let stage = |stage: &'static str| stages.get_or_create_owned(&[("stage", stage.into())]);
        let retries: Family<Labels<1>, Counter> =
            register(to, "aqua_retries", "Transactions begun again, by reason");
        for retry in [
            Retry::Overtaken,
            Retry::NumberTaken,
            Retry::Connection,
            Retry::Refused,
            Retry::Locked,
        ] {
            drop(retries.get_or_create(&retry.label()));
        }
        let build = Info::new([
            ("version", env!("CARGO_PKG_VERSION")),
            ("revision", env!("AQUA_REVISION")),
        ]);
        to.register("aqua_build", "The program", build);
        Self {
            requests,
            publications,
            batch_orders,
            request_duration,
            queue: stage("queue"),
            read: stage("read"),
            decide: stage("decide"),
            write: stage("write"),
            retries,
            transactions: register(to, "aqua_transactions", "Transactions begun for batches"),
            coalesced_batches: register(
                to,
                "aqua_coalesced_batches",
                "Batches that shared a transaction with others",
            ),
            connections: register(to, "aqua_connections", "Connections of callers"),
            strangers_lines: Arc::default(),
            targets: Targets::register(to),
            started_at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
            registry,
        }
    }

    /// Requests may come to such an end: it is there from the start, at zero, as every other label's value is.
    pub fn expect(&self, outcomes: impl IntoIterator<Item = &'static str>) {
        for outcome in outcomes {
            drop(self.requests.get_or_create(&outcome_label(outcome)));
        }
    }

    /// A request was answered; it took a time that counts if its caller was let in.
    pub fn answered(&self, outcome: &'static str, took: Option<Took<'_>>) {
        self.requests.get_or_create(&outcome_label(outcome)).inc();
        if let Some(Took { time, trace_id }) = took {
            let exemplar = trace_id.map(|id| [("trace_id", id.to_owned())]);
            (self.request_duration).observe(time.as_secs_f64(), exemplar, None);
        }
    }

    pub fn processed(&self, publication: &str, verdicts: &Verdicts) {
        let orders = verdicts.orders();
        #[expect(clippy::cast_precision_loss, reason = "batches are not that large")]
        self.batch_orders.observe(orders as f64);
        if let Some(counters) = self.publications.of(publication) {
            counters.processed(verdicts);
        }
    }

    /// So many orders that were to be kept found no room in the journal.
    pub fn not_kept(&self, publication: &str, orders: usize) {
        if let Some(counters) = self.publications.of(publication) {
            counters.not_kept(orders);
        }
    }

    /// An order was accepted then, by us or, before our start, by whoever was there.
    pub fn accepted_at(&self, publication: &str, moment: DateTime<Utc>) {
        if let Some(counters) = self.publications.of(publication) {
            counters.accepted_at(moment);
        }
    }

    /// A back office was answered with so many orders of the feed.
    pub fn feed_read(&self, publication: &str, orders: usize) {
        if let Some(counters) = self.publications.of(publication) {
            counters.feed_read(orders);
        }
    }

    /// The publications of `before` become those of `after`. Targets that are new make their own series.
    pub fn reload(&self, before: &Config, after: &Config) {
        let targets = |config: &Config| -> HashMap<String, HashSet<String>> {
            let publications = config.publications.iter();
            let targets = publications.map(|publication| {
                let targets = publication.targets.iter();
                let names = targets.map(|target| target.name.clone()).collect();
                (publication.name.clone(), names)
            });
            targets.collect()
        };
        let (old, new) = (targets(before), targets(after));
        for (publication, targets) in &old {
            let still = new.get(publication);
            for target in targets {
                if !still.is_some_and(|still| still.contains(target)) {
                    self.targets.remove(publication, target);
                }
            }
            if still.is_none() {
                self.publications.remove(publication);
            }
        }
        let is_new = |publication: &&Publication| !old.contains_key(&publication.name);
        for publication in after.publications.iter().filter(is_new) {
            let now = begins_now(after, publication);
            self.publications.add(&publication.name, now);
        }
    }

    /// Of one target, its series there from the start.
    pub fn target(&self, publication: &str, target: &str) -> TargetMetrics {
        self.targets.of(publication, target)
    }

    /// A transaction begins again.
    pub fn retried(&self, why: Retry) {
        self.retries.get_or_create(&why.label()).inc();
    }

    /// All of it in Prometheus' older text format.
    pub fn plain_text(&self, reading: &Reading) -> Result<String, fmt::Error> {
        Ok(plain(&self.text(reading)?))
    }

    /// All of it in the text format of `OpenMetrics`.
    pub fn text(&self, reading: &Reading) -> Result<String, fmt::Error> {
        let last_accepted = self.publications.last_accepted();
        let gauges = gauges(reading, self.started_at, last_accepted);
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &gauges)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// With so many publications all series are there from the start, at zero, so that a rate can be told of the first order that is
/// counted. With more of them those are that the settings name as `watched`.
const FEW: usize = 100;

fn begins_now(config: &Config, publication: &Publication) -> bool {
    publication.watched || config.publications.len() <= FEW
}

fn outcome_label(outcome: &'static str) -> Labels<1> {
    [("outcome", outcome.into())]
}

impl Retry {
    fn label(self) -> Labels<1> {
        let reason = match self {
            Self::Overtaken => "overtaken",
            Self::NumberTaken => "number_taken",
            Self::Connection => "connection",
            Self::Refused => "refused",
            Self::Locked => "locked",
        };
        [("reason", reason.into())]
    }
}
