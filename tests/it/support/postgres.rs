//! A real PostgreSQL for the tests: one server for the whole test binary, a database of its own for each test.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use aqua_orders::{
    config,
    database::{self, Account, binaries},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::OnceCell;

/// Nothing survives a crash, and nothing has to: the tests' own server is thrown away.
pub const QUICK: [&str; 3] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
];
/// PostgreSQL's own promises, for tests that lean on them.
pub const DURABLE: [&str; 3] = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"];

/// The migrated database that all others are copies of.
const TEMPLATE: &str = "aqua_template";
/// As whom the console logs in. SQL has to quote this name.
const CONSOLE: &str = "aqua-Console";

/// The first is what the service is told of. With `AQUA_TEST_CITUS` (`./test.sh citus`) it is the coordinator of a Citus
/// cluster and the others are its workers, all in one folder: a copy of the template on each is a copy of the cluster.
const PORTS: [u16; 3] = [5432, 5433, 5434];

/// Whether tests run on Citus.
pub fn on_citus() -> bool {
    std::env::var_os("AQUA_TEST_CITUS").is_some()
}

fn ports() -> &'static [u16] {
    if on_citus() { &PORTS } else { &PORTS[..1] }
}

/// A server in a temporary folder, on a Unix socket only. It is gone, folder and all, when this is dropped and also when
/// the test binary is killed: a shell holds the other end of a pipe, starts PostgreSQL, and ends it when the pipe breaks.
#[derive(Debug)]
pub struct Server {
    keeper: Child,
    folder: PathBuf,
    is_template_finished: OnceCell<()>,
}

impl Server {
    /// Makes and starts a server with these settings (`name=value`), and migrates the template.
    pub async fn start(settings: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Always /tmp: a socket's path must be short, and the server's user must get there.
        let folder = PathBuf::from(format!(
            "/tmp/aqua-test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .expect("a new folder in /tmp");
        let account =
            Account::for_postgres(Path::new("/nonexistent")).expect("a user for PostgreSQL");
        account.own(&folder).expect("the folder handed over");
        let found = binaries::find(None).expect("PostgreSQL's programs");
        let mut command = account.command(Path::new("/bin/sh"), Path::new("/tmp"));
        command
            .arg("-c")
            .arg(KEEPER)
            .arg("aqua-test-postgres")
            .args([&found.folder, &folder])
            .arg(
                ports()
                    .iter()
                    .map(u16::to_string)
                    .collect::<Vec<_>>()
                    .join(" "),
            )
            .args(on_citus().then_some(CITUS).into_iter().flatten())
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdin(Stdio::piped())
            // Not ours: whoever reads the tests' output waits for everybody who might still write to it.
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keeper = command.spawn().expect("sh");
        let mut server = Self {
            keeper,
            folder,
            is_template_finished: OnceCell::new(),
        };
        for port in ports() {
            let mut connection = server.connect("postgres", *port).await;
            run(&mut connection, &format!("CREATE DATABASE {TEMPLATE}")).await;
        }
        if on_citus() {
            server.make_cluster().await;
        }
        database::migrate(&server.options(TEMPLATE), Duration::from_secs(10))
            .await
            .expect("the migrations");
        if on_citus() {
            server.spread().await;
        }
        server
    }

    /// Makes the template the coordinator's database of a cluster.
    async fn make_cluster(&mut self) {
        for port in ports() {
            let mut connection = self.connect(TEMPLATE, *port).await;
            run(&mut connection, "CREATE EXTENSION citus").await;
        }
        let mut coordinator = self.connect(TEMPLATE, PORTS[0]).await;
        let folder = self.folder.display();
        for node in [
            format!("citus_set_coordinator_host('{folder}', {})", PORTS[0]),
            format!("citus_add_node('{folder}', {})", PORTS[1]),
            format!("citus_add_node('{folder}', {})", PORTS[2]),
        ] {
            run(&mut coordinator, &format!("SELECT {node}")).await;
        }
    }

    /// Spreads the template's tables as an operator does.
    async fn spread(&mut self) {
        let mut coordinator = self.connect(TEMPLATE, PORTS[0]).await;
        let text = include_str!("../../../deploy/citus.sql");
        sqlx::raw_sql(text)
            .execute(&mut coordinator)
            .await
            .expect("deploy/citus.sql");
    }

    /// Makes the console's role, with its rights in the template and so in each copy. Then lets nobody in there any more, Citus' own
    /// daemon neither: a database with somebody in it cannot be copied.
    async fn finish_template(&self) {
        for port in ports() {
            let mut connection = self.at(*port).await;
            run(&mut connection, &format!("CREATE ROLE \"{CONSOLE}\" LOGIN")).await;
        }
        database::grant_to_console(&self.options(TEMPLATE), CONSOLE, Duration::from_secs(10))
            .await
            .expect("the console's role");
        for port in ports() {
            let mut connection = self.at(*port).await;
            for sql in [
                format!("ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false"),
                format!(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'"
                ),
            ] {
                run(&mut connection, &sql).await;
            }
        }
    }

    /// How to connect to one of its databases, as its superuser.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .port(5432)
            .username("postgres")
            .database(database)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new database on this server, with the schema and nothing in it.
    pub async fn database(&self) -> TestDatabase {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let is_finished = &self.is_template_finished;
        is_finished.get_or_init(|| self.finish_template()).await;
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        for port in ports() {
            let mut connection = self.at(*port).await;
            run(
                &mut connection,
                &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"),
            )
            .await;
            connection.close().await.expect("closed");
        }
        TestDatabase {
            folder: self.folder.clone(),
            options: self.options(&name),
            name,
        }
    }

    async fn at(&self, port: u16) -> PgConnection {
        let options = self.options("postgres").port(port);
        options.connect().await.expect("the test server")
    }

    async fn connect(&mut self, database: &str, port: u16) -> PgConnection {
        let until = Instant::now() + Duration::from_mins(1);
        loop {
            let error = match self.options(database).port(port).connect().await {
                Ok(connection) => return connection,
                Err(error) => error,
            };
            let ended = self.keeper.try_wait().expect("asked").is_some();
            assert!(
                !ended && Instant::now() < until,
                "the test server does not start: {error}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ended = self.keeper.wait();
        // Where initdb failed, the keeper left its log to be read.
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

/// Each node takes them. Citus' daemon of each database would keep connections to all nodes, and a database takes a while to
/// be dropped.
const CITUS: [&str; 7] = [
    "-cshared_preload_libraries=citus",
    "-ccitus.shard_count=4",
    "-cmax_prepared_transactions=300",
    "-cmax_worker_processes=300",
    "-cmax_connections=1000",
    "-ccitus.recover_2pc_interval=-1",
    "-ccitus.distributed_deadlock_detection_factor=-1",
];

/// $1 = the programs' folder, $2 = ours, $3 = the servers' ports, then postgres's arguments. Killed with us, not with the
/// terminal's group.
const KEEPER: &str = r#"
bin=$1 folder=$2 ports=$3; shift 3
pids=
for port in $ports; do
    data=$folder/data-$port
    "$bin/initdb" -D "$data" -U postgres -E UTF8 --locale=C -A trust --no-sync >>"$folder/log" 2>&1 || exit 1
    "$bin/postgres" -D "$data" -c listen_addresses= -c unix_socket_directories="$folder" -c port=$port \
        -c max_connections=300 -c wal_level=minimal -c max_wal_senders=0 "$@" </dev/null >>"$folder/log" 2>&1 &
    pids="$pids $!"
done
cat >/dev/null
kill -QUIT $pids
wait $pids
while ! rm -rf "$folder"; do sleep 0.1; done
"#;

/// A database that exists for one test, and is dropped with this.
#[derive(Debug)]
pub struct TestDatabase {
    folder: PathBuf,
    name: String,
    options: PgConnectOptions,
}

impl TestDatabase {
    /// What `DATABASE_URL` would say.
    pub fn url(&self) -> String {
        self.url_by_way_of(&self.folder)
    }

    /// The same with the socket in another folder: a proxy's.
    pub fn url_by_way_of(&self, folder: &Path) -> String {
        let (name, folder) = (&self.name, folder.display());
        format!("postgres://postgres@localhost:5432/{name}?host={folder}")
    }

    /// What `AQUA_CONSOLE_DATABASE_URL` would say.
    pub fn console_url(&self) -> String {
        self.url_of(CONSOLE)
    }

    /// The same of another role.
    pub fn url_of(&self, role: &str) -> String {
        let role = percent_encoding::utf8_percent_encode(role, percent_encoding::NON_ALPHANUMERIC);
        let own = self.url();
        let (_, place) = own.split_once('@').expect("a user");
        format!("postgres://{role}@{place}")
    }

    /// The folder of the server's socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How to connect, as the server's superuser.
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// A small pool that connects when it is used.
    pub fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(5)
            .connect_lazy_with(self.options())
    }

    /// Has it take no writes of connections that are made from now on.
    pub async fn take_no_writes(&self) {
        let mut connection = self.options.connect().await.expect("the test server");
        let sql = format!(
            "ALTER DATABASE {} SET default_transaction_read_only = on",
            self.name
        );
        run(&mut connection, &sql).await;
    }

    /// The service's settings for this database.
    pub fn settings(&self) -> config::Database {
        config::Database {
            url: Some(config::Secret::new(self.url())),
            data_dir: PathBuf::from("/nonexistent"),
            connections: 10,
            client_cache_bytes: 1024 * 1024,
            may_lose_orders: false,
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            start_timeout: Duration::from_secs(30),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let _process_ending = JANITOR.send((self.folder.clone(), self.name.clone()));
    }
}

/// A database of its own for a test, on the one server that all tests of this binary share.
pub async fn database() -> TestDatabase {
    static SERVER: OnceLock<Server> = OnceLock::new();
    // Tests have a runtime each, and the server outlives the first of them: so it is started in one of its own. It is
    // never dropped; the end of the process breaks the keeper's pipe.
    let server = tokio::task::spawn_blocking(|| {
        SERVER.get_or_init(|| on_a_runtime_of_its_own(async { Server::start(&QUICK).await }))
    });
    server.await.expect("the test server").database().await
}

/// Drops the databases of tests that are over: `drop` itself cannot wait for a server.
static JANITOR: LazyLock<mpsc::Sender<(PathBuf, String)>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel::<(PathBuf, String)>();
    thread::spawn(move || {
        for (folder, name) in receiver {
            let options = PgConnectOptions::new_without_pgpass()
                .socket(&folder)
                .username("postgres")
                .database("postgres");
            on_a_runtime_of_its_own(async move {
                for port in ports() {
                    // A dedicated server may be gone with all its databases, and a transaction that a test left prepared keeps
                    // one.
                    if let Ok(mut connection) = options.clone().port(*port).connect().await {
                        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                        let _dropped = connection.execute(AssertSqlSafe(drop)).await;
                    }
                }
            });
        }
    });
    sender
});

fn on_a_runtime_of_its_own<T: Send>(work: impl Future<Output = T> + Send) -> T {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(work)
        });
        worker.join().expect("no panic")
    })
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .expect("the test server obeys");
}
