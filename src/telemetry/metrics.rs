//! What is counted and measured, for Prometheus. Labels have values of ours only: names of configured publications, codes.
//! Nothing that a caller sends can make a new one.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use super::sampled::Sampled;
use crate::{
    config::Config,
    order::{
        decide::{self, Verdict},
        fault::{FaultCode, WarningCode},
    },
};

/// A gauge of whole numbers.
type Count = Gauge<i64, AtomicI64>;
/// A gauge of seconds or of shares.
type Amount = Gauge<f64, AtomicU64>;
/// For what is there once, or not at all.
type NoLabels = [(&'static str, &'static str); 0];
/// A counter of seconds.
type Seconds = Counter<f64, AtomicU64>;

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVerdict {
    publication: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCode {
    publication: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPublication {
    publication: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStage {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}

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
}

/// What is read off when somebody asks.
#[derive(Debug, Default)]
pub struct Reading {
    /// By publication: batches that wait, and transactions under way.
    pub lanes: Vec<(String, usize, usize)>,
    /// Connections to the database: at work, idle, and at most.
    pub database_connections: Option<(usize, usize, usize)>,
    /// Bytes of bodies in flight, and at most.
    pub bytes_in_flight: (usize, usize),
    /// Most connections of callers.
    pub connections_max: usize,
    pub database_up: bool,
    /// Whether orders can be taken.
    pub ready: bool,
    /// Bytes free on the private cluster's disk, and in all.
    pub disk: Option<(u64, u64)>,
    /// Seconds since the newest backup, where the settings say where to look for it.
    pub backup_age: Option<f64>,
}

/// Everything that `/metrics` shows.
pub struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    publications: HashMap<String, Publication>,
    batch_orders: Histogram,
    request_duration: Histogram,
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
    retries: Family<OfReason, Counter>,
    pub connections: Count,
    /// Log lines that strangers bring about.
    pub strangers_lines: Arc<Sampled>,
    gauges: Gauges,
}

/// Set when somebody asks.
#[derive(Default)]
struct Gauges {
    queue_batches: Family<OfPublication, Count>,
    transactions_running: Family<OfPublication, Count>,
    database_connections: Family<OfState, Count>,
    database_connections_max: Count,
    connections_max: Count,
    bytes_in_flight: Count,
    bytes_in_flight_max: Count,
    last_accepted_order_age: Family<OfPublication, Amount>,
    database_up: Count,
    ready: Count,
    disk: Family<NoLabels, Count>,
    disk_size: Family<NoLabels, Count>,
    backup_age: Family<NoLabels, Amount>,
    memory: Count,
    open_files: Count,
    most_files: Count,
    processor: Seconds,
}

struct Publication {
    accepted: Counter,
    rejected: Counter,
    faults: [Counter; FaultCode::ALL.len()],
    warnings: [Counter; WarningCode::ALL.len()],
    with_remarks: Counter,
    not_kept: Counter,
    /// Of the last accepted order, milliseconds since 1970; 0: none yet.
    last_accepted: AtomicI64,
}

impl Metrics {
    /// Nothing is counted yet. Every label's value is there from the start, at zero, so that a rate can be told of the
    /// first one that comes.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Outcome, Counter>::default();
        registry.register("aqua_requests", "Requests, by outcome", requests.clone());
        let orders = Family::<OfVerdict, Counter>::default();
        registry.register("aqua_orders", "Orders, by verdict", orders.clone());
        let faults = Family::<OfCode, Counter>::default();
        registry.register(
            "aqua_order_faults",
            "Faults of rejected orders",
            faults.clone(),
        );
        let warnings = Family::<OfCode, Counter>::default();
        registry.register(
            "aqua_order_warnings",
            "Warnings on accepted orders",
            warnings.clone(),
        );
        let with_remarks = Family::<OfPublication, Counter>::default();
        registry.register(
            "aqua_orders_with_remarks",
            "Accepted orders of which a value was left out, rounded or shortened",
            with_remarks.clone(),
        );
        let not_kept = Family::<OfPublication, Counter>::default();
        registry.register(
            "aqua_journal_not_kept",
            "Orders, rejected or with remarks, that the journal had no room for (journal.rejected_bytes_per_day, or a disk that is nearly full)",
            not_kept.clone(),
        );
        let publications = config.publications.iter().map(|publication| {
            let name = &publication.name;
            let of_verdict = |verdict| {
                let publication = name.clone();
                orders.get_or_create_owned(&OfVerdict {
                    publication,
                    verdict,
                })
            };
            let of_code = |family: &Family<OfCode, Counter>, code| {
                let publication = name.clone();
                family.get_or_create_owned(&OfCode { publication, code })
            };
            let of_publication = |family: &Family<OfPublication, Counter>| {
                let publication = name.clone();
                family.get_or_create_owned(&OfPublication { publication })
            };
            let counters = Publication {
                accepted: of_verdict("accepted"),
                rejected: of_verdict("rejected"),
                faults: FaultCode::ALL.map(|code| of_code(&faults, code.as_str())),
                warnings: WarningCode::ALL.map(|code| of_code(&warnings, code.as_str())),
                with_remarks: of_publication(&with_remarks),
                not_kept: of_publication(&not_kept),
                last_accepted: AtomicI64::new(0),
            };
            (name.clone(), counters)
        });
        let publications = publications.collect();

        let mut histogram = |name, help, bounds: &[f64]| {
            let histogram = Histogram::new(bounds.iter().copied());
            registry.register(name, help, histogram.clone());
            histogram
        };
        let batch_orders = histogram("aqua_batch_orders", "Orders in a batch", &SIZES);
        let request_duration = histogram(
            "aqua_request_duration_seconds",
            "From a request's headers to its answer, of callers who were let in",
            &TIMES,
        );
        let stages = Family::<OfStage, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(TIMES)
        });
        registry.register(
            "aqua_stage_duration_seconds",
            "What of it a batch waited for its turn, and how long its transaction read, decided, and wrote",
            stages.clone(),
        );
        let stage = |stage| stages.get_or_create_owned(&OfStage { stage });
        let retries = Family::<OfReason, Counter>::default();
        for retry in [
            Retry::Overtaken,
            Retry::NumberTaken,
            Retry::Connection,
            Retry::Refused,
            Retry::Locked,
        ] {
            drop(retries.get_or_create(&retry.label()));
        }
        registry.register(
            "aqua_retries",
            "Transactions begun again, by reason",
            retries.clone(),
        );
        let transactions = Counter::default();
        registry.register(
            "aqua_transactions",
            "Transactions begun for batches",
            transactions.clone(),
        );
        let coalesced_batches = Counter::default();
        registry.register(
            "aqua_coalesced_batches",
            "Batches that shared a transaction with others",
            coalesced_batches.clone(),
        );
        let connections = Count::default();
        registry.register(
            "aqua_connections",
            "Connections of callers",
            connections.clone(),
        );
        registry.register(
            "aqua_build",
            "The program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let gauges = Gauges::default();
        gauges.register(&mut registry);
        Self {
            requests,
            publications,
            batch_orders,
            request_duration,
            queue: stage("queue"),
            read: stage("read"),
            decide: stage("decide"),
            write: stage("write"),
            transactions,
            coalesced_batches,
            retries,
            connections,
            strangers_lines: Arc::default(),
            gauges,
            registry,
        }
    }

    /// Requests may come to such an end: it is there from the start, at zero, as every other label's value is.
    pub fn expect(&self, outcomes: impl IntoIterator<Item = &'static str>) {
        for outcome in outcomes {
            drop(self.requests.get_or_create(&Outcome { outcome }));
        }
    }

    /// A request was answered.
    pub fn answered(&self, outcome: &'static str, let_in: bool, after: Duration) {
        self.requests.get_or_create(&Outcome { outcome }).inc();
        if let_in {
            self.request_duration.observe(after.as_secs_f64());
        }
    }

    pub fn processed(&self, publication: &str, verdicts: &Verdicts) {
        let orders = verdicts.accepted + verdicts.rejected;
        #[expect(clippy::cast_precision_loss, reason = "batches are not that large")]
        self.batch_orders.observe(orders as f64);
        let Some(counters) = self.publications.get(publication) else {
            return;
        };
        counters.accepted.inc_by(verdicts.accepted as u64);
        counters.rejected.inc_by(verdicts.rejected as u64);
        counters.with_remarks.inc_by(verdicts.with_remarks as u64);
        let faults = counters.faults.iter().zip(verdicts.faults);
        let warnings = counters.warnings.iter().zip(verdicts.warnings);
        for (counter, count) in faults.chain(warnings).filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
        if verdicts.accepted > 0 {
            self.accepted_at(publication, Utc::now());
        }
    }

    /// So many orders that were to be kept found no room in the journal.
    pub fn not_kept(&self, publication: &str, orders: usize) {
        if let Some(counters) = self.publications.get(publication) {
            counters.not_kept.inc_by(orders as u64);
        }
    }

    /// An order was accepted then, by us or, before our start, by whoever was there.
    pub fn accepted_at(&self, publication: &str, moment: DateTime<Utc>) {
        if let Some(counters) = self.publications.get(publication) {
            let moment = moment.timestamp_millis();
            counters.last_accepted.fetch_max(moment, Ordering::Relaxed);
        }
    }

    /// A transaction begins again.
    pub fn retried(&self, why: Retry) {
        self.retries.get_or_create(&why.label()).inc();
    }

    /// All of it in the text format of `OpenMetrics`.
    pub fn text(&self, reading: &Reading) -> Result<String, fmt::Error> {
        self.gauges.set(reading);
        let now = Utc::now().timestamp_millis();
        for (name, counters) in &self.publications {
            let last = counters.last_accepted.load(Ordering::Relaxed);
            if last > 0 {
                let publication = name.clone();
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "to the millisecond for 200,000 years"
                )]
                self.gauges
                    .last_accepted_order_age
                    .get_or_create(&OfPublication { publication })
                    .set((now - last).max(0) as f64 / 1000.0);
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Retry {
    fn label(self) -> OfReason {
        let reason = match self {
            Self::Overtaken => "overtaken",
            Self::NumberTaken => "number_taken",
            Self::Connection => "connection",
            Self::Refused => "refused",
            Self::Locked => "locked",
        };
        OfReason { reason }
    }
}

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
        let started = Amount::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        started.set(now.unwrap_or_default().as_secs_f64());
        registry.register(
            "process_start_time_seconds",
            "When it was started, in seconds since 1970",
            started,
        );
        let mut gauge = |name, help, gauge: &Count| registry.register(name, help, gauge.clone());
        gauge(
            "aqua_database_connections_max",
            "Most connections to the database that batches may take",
            &self.database_connections_max,
        );
        gauge(
            "aqua_connections_max",
            "Most connections of callers (limits.connections)",
            &self.connections_max,
        );
        gauge(
            "aqua_bytes_in_flight",
            "Bytes of bodies that come in, are worked on or are answered",
            &self.bytes_in_flight,
        );
        gauge(
            "aqua_bytes_in_flight_max",
            "Most of those (limits.bytes_in_flight)",
            &self.bytes_in_flight_max,
        );
        gauge(
            "aqua_database_up",
            "Whether the database answers",
            &self.database_up,
        );
        gauge(
            "aqua_ready",
            "Whether orders can be taken, as /readyz says",
            &self.ready,
        );
        gauge(
            "process_resident_memory_bytes",
            "Memory it takes up",
            &self.memory,
        );
        gauge(
            "process_open_fds",
            "Files and connections that are open",
            &self.open_files,
        );
        gauge("process_max_fds", "Most of those", &self.most_files);
        registry.register(
            "process_cpu_seconds",
            "Time of a processor that it used",
            self.processor.clone(),
        );
        registry.register(
            "aqua_queue_batches",
            "Batches that wait for their turn",
            self.queue_batches.clone(),
        );
        registry.register(
            "aqua_transactions_running",
            "Transactions under way",
            self.transactions_running.clone(),
        );
        registry.register(
            "aqua_database_connections",
            "Connections to the database",
            self.database_connections.clone(),
        );
        registry.register(
            "aqua_last_accepted_order_age_seconds",
            "Since the last order of the publication was accepted",
            self.last_accepted_order_age.clone(),
        );
        registry.register(
            "aqua_disk_free_bytes",
            "Free on the private cluster's disk",
            self.disk.clone(),
        );
        registry.register(
            "aqua_disk_size_bytes",
            "Size of the private cluster's disk",
            self.disk_size.clone(),
        );
        registry.register(
            "aqua_backup_age_seconds",
            "Since the newest file in the backups' folder was finished; +Inf: there is none",
            self.backup_age.clone(),
        );
    }

    fn set(&self, reading: &Reading) {
        for (name, waiting, running) in &reading.lanes {
            let publication = OfPublication {
                publication: name.clone(),
            };
            self.queue_batches
                .get_or_create(&publication)
                .set(count(*waiting));
            self.transactions_running
                .get_or_create(&publication)
                .set(count(*running));
        }
        if let Some((busy, idle, most)) = reading.database_connections {
            for (state, connections) in [("busy", busy), ("idle", idle)] {
                self.database_connections
                    .get_or_create(&OfState { state })
                    .set(count(connections));
            }
            self.database_connections_max.set(count(most));
        }
        self.connections_max.set(count(reading.connections_max));
        self.bytes_in_flight.set(count(reading.bytes_in_flight.0));
        self.bytes_in_flight_max
            .set(count(reading.bytes_in_flight.1));
        self.database_up.set(reading.database_up.into());
        self.ready.set(reading.ready.into());
        if let Some((free, size)) = reading.disk {
            self.disk.get_or_create(&[]).set(count(free));
            self.disk_size.get_or_create(&[]).set(count(size));
        }
        if let Some(age) = reading.backup_age {
            self.backup_age.get_or_create(&[]).set(age);
        }
        self.set_process();
    }

    /// What the system knows of us. Where it does not tell, the last it told stays.
    fn set_process(&self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = memory.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        if let Some(kilobytes) = kilobytes {
            let kilobytes: i64 = kilobytes;
            self.memory.set(kilobytes.saturating_mul(1024));
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.open_files.set(count(files.count()));
        }
        if let Ok((granted, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            self.most_files.set(count(granted));
        }
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let times = [usage.user_time(), usage.system_time()];
            #[expect(
                clippy::cast_precision_loss,
                reason = "to the microsecond for 200 years"
            )]
            let seconds: f64 = times
                .iter()
                .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0)
                .sum();
            let so_far = self.processor.get();
            self.processor.inc_by((seconds - so_far).max(0.0));
        }
    }
}
