//! What is read off when somebody asks for the metrics: lengths of queues, connections, memory, disk, the process.

use std::{
    fs,
    sync::atomic::{AtomicI64, AtomicU64},
    time::{SystemTime, UNIX_EPOCH},
};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Metric, Registry},
};

/// A gauge of whole numbers.
pub(super) type Count = Gauge<i64, AtomicI64>;
/// A gauge of seconds.
pub(super) type Amount = Gauge<f64, AtomicU64>;
/// One for each value of a label.
type By<M> = Family<[(&'static str, String); 1], M>;

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
    /// Workers of a Citus cluster that have publications of ours, and whether each answers.
    pub workers_up: Vec<(String, bool)>,
    /// Whether orders can be taken.
    pub ready: bool,
    /// Bytes free on the private cluster's disk, and in all.
    pub disk: Option<(u64, u64)>,
    /// Seconds since the newest backup, where the settings say where to look for it.
    pub backup_age: Option<f64>,
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

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// The gauges at this moment. What cannot be read off is not among them.
pub(super) fn gauges(
    reading: &Reading,
    started_at: f64,
    last_accepted: Vec<(String, f64)>,
) -> Registry {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs_f64();
    let mut registry = Registry::default();
    let to = &mut registry;
    let help = "When it was started, in seconds since 1970";
    register::<Amount>(to, "process_start_time_seconds", help).set(started_at);

    let (busy, idle, most) = reading.database_connections.unwrap_or_default();
    let (in_flight, most_in_flight) = reading.bytes_in_flight;
    #[rustfmt::skip]
    let counts = [
        ("aqua_database_connections_max", "Most connections to the database that batches may take", Some(count(most))),
        ("aqua_connections_max", "Most connections of callers (limits.connections)", Some(count(reading.connections_max))),
        ("aqua_bytes_in_flight", "Bytes of bodies that come in, are worked on or are answered", Some(count(in_flight))),
        ("aqua_bytes_in_flight_max", "Most of those (limits.bytes_in_flight)", Some(count(most_in_flight))),
        ("aqua_database_up", "Whether the database answers", Some(reading.database_up.into())),
        ("aqua_ready", "Whether orders can be taken, as /readyz says", Some(reading.ready.into())),
        ("process_resident_memory_bytes", "Memory it takes up", memory()),
        ("process_open_fds", "Files and connections that are open", fs::read_dir("/proc/self/fd").ok().map(|files| count(files.count()))),
        ("process_max_fds", "Most of those", getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(granted, _)| count(granted))),
        ("aqua_disk_free_bytes", "Free on the private cluster's disk", reading.disk.map(|(free, _)| count(free))),
        ("aqua_disk_size_bytes", "Size of the private cluster's disk", reading.disk.map(|(_, size)| count(size))),
    ];
    for (name, help, number) in counts {
        if let Some(number) = number {
            register::<Count>(to, name, help).set(number);
        }
    }
    if let Some(seconds) = processor_seconds() {
        let help = "Time of a processor that it used";
        register::<Counter<f64, AtomicU64>>(to, "process_cpu_seconds", help).inc_by(seconds);
    }

    let help = "Batches that wait for their turn";
    let queue: By<Count> = register(to, "aqua_queue_batches", help);
    let help = "Transactions under way";
    let transactions: By<Count> = register(to, "aqua_transactions_running", help);
    for (publication, waiting, running) in &reading.lanes {
        let publication = [("publication", publication.clone())];
        queue.get_or_create(&publication).set(count(*waiting));
        transactions
            .get_or_create(&publication)
            .set(count(*running));
    }
    let help = "When the last order of the publication was accepted, in seconds since 1970";
    let name = "aqua_last_accepted_order_timestamp_seconds";
    let last: By<Amount> = register(to, name, help);
    let help = "The same as an age, for who reads it without a clock";
    let age: By<Amount> = register(to, "aqua_last_accepted_order_age_seconds", help);
    for (publication, moment) in last_accepted {
        let label = [("publication", publication)];
        last.get_or_create(&label).set(moment);
        age.get_or_create(&label).set((now - moment).max(0.0));
    }
    if reading.database_connections.is_some() {
        let help = "Connections to the database";
        let connections: By<Count> = register(to, "aqua_database_connections", help);
        for (state, number) in [("busy", busy), ("idle", idle)] {
            connections
                .get_or_create(&[("state", state.to_owned())])
                .set(count(number));
        }
    }
    if !reading.workers_up.is_empty() {
        let help = "Whether a worker of a Citus cluster answers, whose publications get 503 else";
        let workers: By<Count> = register(to, "aqua_database_worker_up", help);
        for (worker, up) in &reading.workers_up {
            workers
                .get_or_create(&[("worker", worker.clone())])
                .set((*up).into());
        }
    }
    if let Some(age) = reading.backup_age {
        let help = "When the newest file in the backups' folder was finished, in seconds since 1970; 0: there is none";
        let finished = if age.is_finite() { now - age } else { 0.0 };
        register::<Amount>(to, "aqua_last_backup_timestamp_seconds", help).set(finished);
        let help = "The same as an age; +Inf: there is none";
        register::<Amount>(to, "aqua_backup_age_seconds", help).set(age);
    }
    registry
}

fn memory() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let memory = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = memory.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

fn processor_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "to the microsecond for 200 years"
    )]
    let seconds = [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0)
        .sum();
    Some(seconds)
}
