//! Faults caused for real, under load: processes are killed and stopped, the disk is full, the primary is gone. Each
//! time a register of what was promised is compared with what is there (contract §1, §7).
//!
//! `./test.sh faults` does them all in turn on one database, some rounds of it, and prints the figures.

use std::{fs, io::Write, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use aqua_orders::{
    config,
    database::{self, Disk},
};
use nix::sys::signal::Signal;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tokio::{net::TcpStream, time::sleep};

use crate::support::{
    app::{ORDERS, changed, order},
    cluster::{Cluster, until},
    config::demo_config,
    process::{SMALL_DISK, Scratch},
    register::{Figures, Register},
    serving::{self, PATIENCE, Serving},
    talk::{self, Caller},
};

/// How long a fault lasts that has to be ended.
pub const WHILE: Duration = Duration::from_secs(2);
/// How long the service is left in peace before and after a fault.
pub const PEACE: Duration = Duration::from_millis(700);

/// Gives up soon, so that a database that says nothing is a 503 within seconds.
const SETTINGS: &str = r#"
[database]
statement_timeout = 2
lock_timeout = 1
start_timeout = 60

[times]
answer = 6
stop = 15

[[publication]]
name = "demodelivery"
anonymous = true

# On Citus, some are on the other worker.
[[publication]]
name = "shop-1"
anonymous = true
[[publication]]
name = "shop-2"
anonymous = true
[[publication]]
name = "shop-3"
anonymous = true
[[publication]]
name = "shop-4"
anonymous = true
"#;

/// What is done to the service or its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    ServiceKilled,
    ServiceTerminated,
    ServiceStopped,
    PostgresKilled,
    PostgresStoppedImmediately,
    PostgresStoppedFast,
    PostgresFrozen,
    ConnectionsTerminated,
    PostgresRestarted,
    PostgresAwayAtTheStart,
    PostgresReadOnly,
}

const FAULTS: [(Fault, &str); 11] = [
    (Fault::ServiceKilled, "service: kill -9"),
    (Fault::ServiceTerminated, "service: SIGTERM"),
    (Fault::ServiceStopped, "service: SIGSTOP for 2 s"),
    (Fault::PostgresKilled, "PostgreSQL: kill -9"),
    (
        Fault::PostgresStoppedImmediately,
        "PostgreSQL: immediate stop",
    ),
    (Fault::PostgresStoppedFast, "PostgreSQL: fast stop"),
    (Fault::PostgresFrozen, "PostgreSQL: SIGSTOP for 4 s"),
    (Fault::ConnectionsTerminated, "every connection terminated"),
    (Fault::PostgresRestarted, "PostgreSQL: restart"),
    (
        Fault::PostgresAwayAtTheStart,
        "PostgreSQL away at the start",
    ),
    (Fault::PostgresReadOnly, "PostgreSQL read-only for 2 s"),
];

/// A service in a process of its own.
pub struct Service {
    scratch: Scratch,
    database: Database,
    process: Serving,
}

/// A port below those that the system gives out by itself: nobody takes it while the service is away.
fn quiet_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(10_000..32_000))
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}

pub enum Database {
    Url(String),
    /// The private cluster's folder.
    Private(PathBuf),
}

impl Service {
    pub fn start(scratch: Scratch, database: Database) -> Self {
        Self::with(SETTINGS, scratch, database)
    }

    /// With these settings.
    pub fn with(settings: &str, scratch: Scratch, database: Database) -> Self {
        fs::write(scratch.join("aqua.toml"), settings).unwrap();
        let process = Serving::start(&mut serve_command(&scratch, &database, quiet_port()));
        Self {
            scratch,
            database,
            process,
        }
    }

    /// `kill -9`, and its port is free.
    pub fn kill(&mut self) {
        self.process.signal(Signal::SIGKILL);
        until("it is gone", || !self.process.lives());
    }

    /// Starts it anew at the same address, as whoever runs it would.
    pub fn start_again(&mut self) {
        self.spawn_again();
        self.process.is_ready();
    }

    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    pub fn operators_address(&self) -> SocketAddr {
        self.process.operators_address()
    }

    pub fn serving(&self) -> &Serving {
        &self.process
    }

    /// A command with its settings, beside it.
    pub fn command(&self, command: &str) -> Command {
        let mut it = serve_command(&self.scratch, &self.database, 0);
        it.arg(command);
        it
    }

    fn spawn_again(&mut self) {
        let port = self.process.address.port();
        self.process = Serving::spawn(&mut serve_command(&self.scratch, &self.database, port));
    }
}

fn serve_command(scratch: &Scratch, database: &Database, port: u16) -> Command {
    let mut command = serving::command(scratch);
    command.env("AQUA_LISTEN", format!("127.0.0.1:{port}"));
    match database {
        Database::Url(url) => command.env("DATABASE_URL", url),
        Database::Private(data_dir) => command.env("AQUA_DATA_DIR", data_dir),
    };
    command
}

/// A service and a PostgreSQL beside it.
struct World {
    // The service first: dropped, it is to find its database.
    service: Service,
    postgres: Cluster,
}

impl World {
    async fn make() -> Self {
        let scratch = Scratch::new();
        let mut postgres = Cluster::make(&scratch, "postgres", "");
        postgres.start().await;
        let url = postgres.url();
        Self {
            service: Service::start(scratch, Database::Url(url)),
            postgres,
        }
    }

    fn pool(&self) -> PgPool {
        pool(&self.postgres)
    }

    /// Has the senders at work, does it, and lets them work on.
    async fn suffer(&mut self, fault: Fault, name: &str) -> Figures {
        let register = Register::open(name, self.service.process.address);
        register.hears_something().await;
        sleep(PEACE).await;
        self.cause(fault).await;
        register.hears_something().await;
        sleep(PEACE).await;
        let figures = register.close(name, &self.pool()).await;
        assert!(self.service.process.lives());
        figures
    }

    async fn cause(&mut self, fault: Fault) {
        let Self { service, postgres } = self;
        match fault {
            Fault::ServiceKilled => {
                service.kill();
                service.start_again();
            }
            Fault::ServiceTerminated => {
                service.process.signal(Signal::SIGTERM);
                service.process.hear("stopped, every request answered");
                until("it ends", || !service.process.lives());
                service.start_again();
            }
            Fault::ServiceStopped => {
                service.process.signal(Signal::SIGSTOP);
                sleep(WHILE).await;
                service.process.signal(Signal::SIGCONT);
            }
            Fault::PostgresKilled => {
                postgres.end(Signal::SIGKILL);
                postgres.start().await;
            }
            Fault::PostgresStoppedImmediately | Fault::PostgresStoppedFast => {
                postgres.end(if fault == Fault::PostgresStoppedFast {
                    Signal::SIGINT
                } else {
                    Signal::SIGQUIT
                });
                sleep(WHILE).await;
                postgres.start().await;
            }
            Fault::PostgresFrozen => {
                postgres.signal_all(Signal::SIGSTOP);
                // Longer than a statement is waited for.
                sleep(2 * WHILE).await;
                postgres.signal_all(Signal::SIGCONT);
            }
            Fault::ConnectionsTerminated => {
                for _ in 0..10 {
                    terminate(postgres).await;
                    sleep(WHILE / 10).await;
                }
            }
            Fault::PostgresRestarted => {
                postgres.end(Signal::SIGINT);
                postgres.start().await;
            }
            Fault::PostgresAwayAtTheStart => {
                service.kill();
                postgres.end(Signal::SIGINT);
                service.spawn_again();
                sleep(WHILE).await;
                assert!(service.process.lives());
                postgres.start().await;
                service.process.is_ready();
            }
            Fault::PostgresReadOnly => {
                // As a primary that was made a standby: whoever comes now can read only, and stays so although the
                // next who come can write.
                run(
                    postgres,
                    "ALTER DATABASE postgres SET default_transaction_read_only = on",
                )
                .await;
                terminate(postgres).await;
                sleep(WHILE).await;
                run(
                    postgres,
                    "ALTER DATABASE postgres RESET default_transaction_read_only",
                )
                .await;
            }
        }
    }
}

pub fn pool(postgres: &Cluster) -> PgPool {
    PgPoolOptions::new().max_connections(1).connect_lazy_with(
        postgres
            .options("postgres")
            .options([("default_transaction_read_only", "off")]),
    )
}

pub async fn run(postgres: &Cluster, sql: &'static str) {
    sqlx::query(sql).execute(&pool(postgres)).await.unwrap();
}

/// Ends every connection of the service's.
async fn terminate(postgres: &Cluster) {
    run(
        postgres,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aqua-orders'",
    )
    .await;
}

/// What a fault did, on a line of its own.
pub fn print(what: &str, figures: &Figures) {
    println!("{what:<30} {figures}");
}

/// The private cluster's disk: a small file system of its own, as long as its scratch folder is kept.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// `None` where none may be made.
    fn mount(scratch: &Scratch) -> Option<Self> {
        // The scratch folder's keeper knows the name, for a test run that is killed.
        let folder = scratch.join(SMALL_DISK);
        fs::create_dir(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=320m,mode=755", "tmpfs"])
            .arg(&folder)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self { folder })
    }

    /// Writes to it until no byte is left.
    fn fill(&self) {
        let mut file = fs::File::create(self.folder.join("filler")).unwrap();
        let block = vec![1; 64 * 1024];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&[1]).is_ok() {}
    }

    /// Writes to it until only so many bytes are left.
    fn leave(&self, bytes: u64) {
        let mut file = fs::File::create(self.folder.join("filler")).unwrap();
        let block = vec![1; 64 * 1024];
        while Disk::of(&self.folder).unwrap().free > bytes {
            file.write_all(&block).unwrap();
        }
    }

    fn clear(&self) {
        fs::remove_file(self.folder.join("filler")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_disk_is_full_rejected_orders_are_not_kept_and_then_batches_are_503_and_postgresql_lives_on()
 {
    const MIB: u64 = 1024 * 1024;
    let scratch = Scratch::new();
    let Some(disk) = SmallDisk::mount(&scratch) else {
        eprintln!("SKIPPED: no small file system may be made here");
        return;
    };
    let data_dir = disk.folder.join("postgres");
    let service = Service::start(scratch, Database::Private(data_dir.clone()));
    let settings = config::Database {
        url: None,
        data_dir,
        start_timeout: PATIENCE,
        ..demo_config().database
    };
    let opened = database::open_beside(&settings).await.unwrap();
    let pool = PgPoolOptions::new().connect_lazy_with(opened.servers.first().clone());
    let post = async |id: &str, total: i32| {
        // What was seen of the disk lately is not looked at again.
        sleep(Duration::from_millis(300)).await;
        let batch = json!([changed(order(id), "/total", json!(total))]).to_string();
        let address = service.process.address;
        let mut caller = Caller::new(TcpStream::connect(address).await.unwrap());
        caller.send(talk::post(ORDERS, "", batch)).await;
        caller.answer().await.status
    };
    let count = async |table: &str| -> i64 {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    };
    assert_eq!((post("1", 1).await, post("2", -1).await), (200, 200));
    let kept = async || (count("orders").await, count("journal_rejected").await);
    assert_eq!(kept().await, (1, 1));
    // Of 320 MiB an eighth is 40, a sixteenth 20.
    disk.leave(30 * MIB);
    assert_eq!((post("3", 1).await, post("4", -1).await), (200, 200));
    assert_eq!(kept().await, (2, 1));
    disk.clear();
    disk.leave(15 * MIB);
    assert_eq!((post("5", 1).await, post("6", -1).await), (503, 503));
    assert_eq!(kept().await, (2, 1));
    disk.clear();
    assert_eq!((post("5", 1).await, post("6", -1).await), (200, 200));
    assert_eq!(kept().await, (3, 2));
}

/// A service with its private cluster on a disk that gets full, and has room again after a while. Nobody starts anything
/// again by hand.
async fn a_full_disk(rounds: usize) -> Option<Figures> {
    let scratch = Scratch::new();
    let disk = SmallDisk::mount(&scratch)?;
    let data_dir = disk.folder.join("postgres");
    let mut service = Service::start(scratch, Database::Private(data_dir.clone()));
    let settings = config::Database {
        url: None,
        data_dir,
        start_timeout: PATIENCE,
        ..demo_config().database
    };
    let mut figures = Figures::default();
    for round in 0..rounds {
        let name = format!("full {round}");
        let register = Register::open(&name, service.process.address);
        register.hears_something().await;
        disk.fill();
        register.is_refused().await;
        sleep(WHILE).await;
        disk.clear();
        register.hears_something().await;
        sleep(PEACE).await;
        // What closes waits for answers, so it may be asked now.
        let opened = database::open_beside(&settings).await.unwrap();
        let pool = PgPoolOptions::new().connect_lazy_with(opened.servers.first().clone());
        figures = figures.and(register.close(&name, &pool).await);
        assert!(service.process.lives());
    }
    service.process.signal(Signal::SIGTERM);
    until("it ends", || !service.process.lives());
    Some(figures)
}

/// A primary and a standby that has everything before an order is answered; the primary is lost for good.
async fn a_standby_takes_over() -> Figures {
    let scratch = Scratch::new();
    let mut primary = Cluster::make(&scratch, "one", "");
    primary.start().await;
    let mut standby = primary.standby(&scratch, "two");
    standby.start().await;
    run(
        &primary,
        "ALTER SYSTEM SET synchronous_standby_names = 'two'",
    )
    .await;
    run(&primary, "SELECT pg_reload_conf()").await;
    while scalar(
        &primary,
        "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'",
    )
    .await
        == 0
    {
        sleep(Duration::from_millis(50)).await;
    }
    let url = format!(
        "postgres://postgres@{},{}/postgres?target_session_attrs=read-write",
        standby.host(),
        primary.host()
    );
    let mut service = Service::start(scratch, Database::Url(url));
    let register = Register::open("order", service.process.address);
    register.hears_something().await;
    sleep(PEACE).await;
    primary.end(Signal::SIGKILL);
    standby.promote();
    register.hears_something().await;
    sleep(PEACE).await;
    let figures = register.close("order", &pool(&standby)).await;
    assert!(service.process.lives());
    figures
}

async fn scalar(postgres: &Cluster, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(&pool(postgres))
        .await
        .unwrap()
}

async fn survives(fault: Fault) {
    let figures = World::make().await.suffer(fault, "order").await;
    let what = FAULTS.iter().find(|(other, _)| *other == fault).unwrap().1;
    print(what, &figures);
    figures.hold();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_killed_under_load_loses_tears_and_doubles_nothing() {
    survives(Fault::ServiceKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_terminated_under_load_answers_what_it_took() {
    survives(Fault::ServiceTerminated).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_stopped_for_seconds_goes_on() {
    survives(Fault::ServiceStopped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_loses_tears_and_doubles_nothing() {
    survives(Fault::PostgresKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_immediate_stop_of_postgres_is_survived() {
    survives(Fault::PostgresStoppedImmediately).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_stop_of_postgres_is_survived() {
    survives(Fault::PostgresStoppedFast).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_postgres_is_survived() {
    survives(Fault::PostgresFrozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_terminated_again_and_again_is_survived() {
    survives(Fault::ConnectionsTerminated).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_postgres_is_survived() {
    survives(Fault::PostgresRestarted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_away_at_the_services_start_is_waited_for() {
    survives(Fault::PostgresAwayAtTheStart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_read_only_for_a_while_is_survived() {
    survives(Fault::PostgresReadOnly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_survived_by_the_private_cluster_and_its_service() {
    match a_full_disk(1).await {
        Some(figures) => {
            print(FULL_DISK, &figures);
            figures.hold();
        }
        None => println!("{FULL_DISK}: not tried, for no file system may be mounted here"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_primary_is_lost_the_standby_has_every_acknowledged_order_and_takes_the_next() {
    let figures = a_standby_takes_over().await;
    print(TAKE_OVER, &figures);
    figures.hold();
}

const FULL_DISK: &str = "disk full for 2 s";
const TAKE_OVER: &str = "primary lost, standby promoted";

/// `./test.sh faults`: every fault, again and again, on one database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: ./test.sh faults"]
async fn the_fault_run() {
    let rounds = std::env::var("AQUA_FAULT_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    let mut world = World::make().await;
    let mut all = Figures::default();
    let mut count = 0;
    println!("\nEvery fault {rounds} times, under the load of 6 senders:");
    for (fault, what) in FAULTS {
        let mut figures = Figures::default();
        for round in 0..rounds {
            figures = figures.and(world.suffer(fault, &format!("{fault:?} {round} ")).await);
        }
        count += rounds;
        print(what, &figures);
        all = all.and(figures);
    }
    match a_full_disk(rounds).await {
        Some(figures) => {
            print(FULL_DISK, &figures);
            count += rounds;
            all = all.and(figures);
        }
        None => println!("{FULL_DISK:<30}   not tried: no file system may be mounted here"),
    }
    let mut figures = Figures::default();
    for _ in 0..rounds {
        figures = figures.and(a_standby_takes_over().await);
    }
    count += rounds;
    print(TAKE_OVER, &figures);
    all = all.and(figures);
    print(&format!("{count} faults"), &all);
    all.hold();
}

/// Two servers under Patroni (tests/deploy/patroni.sh), stopped and removed when this is dropped.
struct Patroni {
    scratch: Scratch,
}

impl Patroni {
    fn new() -> Self {
        Self {
            scratch: Scratch::new(),
        }
    }

    /// Runs one of the script's commands; gives the last line of what it says.
    fn script(&self, command: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/patroni.sh");
        let output = Command::new(script)
            .arg(command)
            .arg(self.scratch.join("patroni"))
            .stderr(std::process::Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", output.status);
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        self.script("down");
    }
}

/// `./test.sh failover`: the primary is lost again and again, and the other takes over by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and Patroni: ./test.sh failover"]
async fn the_failover_run() {
    let rounds = std::env::var("AQUA_FAULT_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap());
    let patroni = Patroni::new();
    let url = patroni.script("up");
    let mut service = Service::start(Scratch::new(), Database::Url(url.clone()));
    let mut all = Figures::default();
    println!("\nPatroni, synchronous, two nodes, under the load of 6 senders:");
    for (command, what) in [
        ("kill", "node lost (Patroni too)"),
        ("crash", "PostgreSQL killed, Patroni not"),
    ] {
        let mut figures = Figures::default();
        for round in 0..rounds {
            let name = format!("{command} {round} ");
            let register = Register::open(&name, service.process.address);
            register.hears_something().await;
            sleep(PEACE).await;
            patroni.script(command);
            register.hears_something().await;
            sleep(PEACE).await;
            let mut servers: database::Servers = url.parse().unwrap();
            servers.put_primary_first(PATIENCE).await;
            let pool = PgPoolOptions::new().connect_lazy_with(servers.first().clone());
            figures = figures.and(register.close(&name, &pool).await);
            assert!(service.process.lives());
            patroni.script("revive");
        }
        print(what, &figures);
        all = all.and(figures);
    }
    print(&format!("{} failovers", 2 * rounds), &all);
    all.hold();
}
