//! What is read off when somebody asks for the metrics: lengths of queues, connections, memory, disk, the process.

use std::{
    sync::atomic::{AtomicI64, AtomicU64},
    time::{SystemTime, UNIX_EPOCH},
};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Metric, Registry},
};

/// A gauge of whole numbers.
pub(super) type Count = Gauge<i64, AtomicI64>;
/// A gauge of seconds or of shares.
type Amount = Gauge<f64, AtomicU64>;
/// For what is there once, or not at all.
type NoLabels = [(&'static str, &'static str); 0];
/// A counter of seconds.
type Seconds = Counter<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfPublication {
    pub(super) publication: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
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

/// Set when somebody asks.
pub(super) struct Gauges {
    queue_batches: Family<OfPublication, Count>,
    transactions_running: Family<OfPublication, Count>,
    database_connections: Family<OfState, Count>,
    database_connections_max: Count,
    connections_max: Count,
    bytes_in_flight: Count,
    bytes_in_flight_max: Count,
    pub(super) last_accepted_order_age: Family<OfPublication, Amount>,
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

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A metric of its own, at zero.
pub(super) fn register<M: Metric + Default + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl Gauges {
    pub(super) fn register(to: &mut Registry) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let started: Amount = register(
            to,
            "process_start_time_seconds",
            "When it was started, in seconds since 1970",
        );
        started.set(now.unwrap_or_default().as_secs_f64());
        Self {
            database_connections_max: register(
                to,
                "aqua_database_connections_max",
                "Most connections to the database that batches may take",
            ),
            connections_max: register(
                to,
                "aqua_connections_max",
                "Most connections of callers (limits.connections)",
            ),
            bytes_in_flight: register(
                to,
                "aqua_bytes_in_flight",
                "Bytes of bodies that come in, are worked on or are answered",
            ),
            bytes_in_flight_max: register(
                to,
                "aqua_bytes_in_flight_max",
                "Most of those (limits.bytes_in_flight)",
            ),
            database_up: register(to, "aqua_database_up", "Whether the database answers"),
            ready: register(
                to,
                "aqua_ready",
                "Whether orders can be taken, as /readyz says",
            ),
            memory: register(to, "process_resident_memory_bytes", "Memory it takes up"),
            open_files: register(
                to,
                "process_open_fds",
                "Files and connections that are open",
            ),
            most_files: register(to, "process_max_fds", "Most of those"),
            processor: register(
                to,
                "process_cpu_seconds",
                "Time of a processor that it used",
            ),
            queue_batches: register(to, "aqua_queue_batches", "Batches that wait for their turn"),
            transactions_running: register(
                to,
                "aqua_transactions_running",
                "Transactions under way",
            ),
            database_connections: register(
                to,
                "aqua_database_connections",
                "Connections to the database",
            ),
            last_accepted_order_age: register(
                to,
                "aqua_last_accepted_order_age_seconds",
                "Since the last order of the publication was accepted",
            ),
            disk: register(
                to,
                "aqua_disk_free_bytes",
                "Free on the private cluster's disk",
            ),
            disk_size: register(
                to,
                "aqua_disk_size_bytes",
                "Size of the private cluster's disk",
            ),
            backup_age: register(
                to,
                "aqua_backup_age_seconds",
                "Since the newest file in the backups' folder was finished; +Inf: there is none",
            ),
        }
    }

    pub(super) fn set(&self, reading: &Reading) {
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
