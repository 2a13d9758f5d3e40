//! The service as a process of its own on a private cluster, the databases in that cluster, and what machine it is.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use aqua_orders::load::{
    Error, Load, Plan, Report, Target, Workload,
    orders::{PRODUCTS, product_id},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, postgres::PgConnectOptions};
use tempfile::TempDir;

/// The usual publication, and the one with the large catalogue.
pub const USUAL: &str = "demodelivery";
pub const CATALOGUE: &str = "catalogue";
/// Whose databases the private cluster has.
const ROLE: &str = "aqua_orders";
/// With everything in it that each measurement begins with: the usual clients and products, and no order.
const BASE: &str = "base";
/// So many orders leave none of the usual clients unknown.
const SEED_ORDERS: u64 = 20_000;
/// A first start makes a cluster; a slow disk takes its time.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A cluster in a temporary folder, kept by a service of its own that is not measured.
pub struct Cluster {
    // Dropped in this order.
    keeper: Service,
    socket: PathBuf,
    folder: TempDir,
}

/// A service under measurement. Dropping it stops it.
pub struct Service {
    child: Child,
    address: SocketAddr,
}

/// What was measured on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: f64,
    pub kernel: String,
    pub postgresql: String,
    pub version: &'static str,
    pub date: String,
}

/// How a service is started.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// For its files.
    pub name: &'a str,
    /// `None`: the private cluster's own.
    pub database: Option<&'a str>,
    /// Whether small batches share transactions.
    pub coalesce: bool,
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_aqua-orders")
}

fn command(folder: &Path, settings: &Path, url: Option<&str>) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("PG") || name == "DATABASE_URL" || name == "RUST_LOG" {
            command.env_remove(&*name);
        }
    }
    command
        .current_dir(folder)
        .env("AQUA_CONFIG", settings)
        .env("AQUA_LISTEN", "127.0.0.1:0")
        .env("AQUA_OPERATOR_LISTEN", "off")
        .env("AQUA_DATA_DIR", folder.join("postgres"))
        .stdin(Stdio::null());
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    command
}

fn settings_file(folder: &Path, name: &str, coalesce: bool) -> Result<PathBuf, Error> {
    let path = folder.join(format!("{name}.toml"));
    // All callers are one network, which has a third of it.
    let room = 1024 * 1024 * 1024;
    let text = format!(
        "[limits]\ncoalesce = {coalesce}\nbytes_in_flight = {room}\n\
         [[publication]]\nname = \"{USUAL}\"\nanonymous = true\n\
         [[publication]]\nname = \"{CATALOGUE}\"\nanonymous = true\n"
    );
    fs::write(&path, text)?;
    Ok(path)
}

impl Service {
    fn start(folder: &Path, settings: Settings<'_>, url: Option<&str>) -> Result<Self, Error> {
        let file = settings_file(folder, settings.name, settings.coalesce)?;
        let log = folder.join(format!("{}.log", settings.name));
        let child = command(folder, &file, url)
            .arg("serve")
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut service = Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
        };
        let until = Instant::now() + PATIENCE;
        loop {
            let said = fs::read_to_string(&log)?;
            let address = said
                .lines()
                .filter(|line| line.contains("serving"))
                .find_map(|line| line.split("listen=").nth(1)?.split_whitespace().next());
            if let Some(address) = address {
                service.address = address.parse()?;
                return Ok(service);
            }
            if service.child.try_wait()?.is_some() || Instant::now() > until {
                return Err(format!("the service did not start:\n{said}").into());
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    pub fn target(&self, publication: &str) -> Target {
        Target {
            address: self.address,
            host: self.address.to_string(),
            path: format!("/{publication}/hs/AquaDeliveri/getOrdersURL"),
            authorization: None,
        }
    }

    /// `VmRSS` or `VmHWM`, MB.
    pub fn memory(&self, what: &str) -> Result<f64, Error> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kilobytes: f64 = status
            .lines()
            .find_map(|line| {
                line.strip_prefix(what)?
                    .strip_prefix(':')?
                    .strip_suffix("kB")
            })
            .ok_or("no memory in /proc")?
            .trim()
            .parse()?;
        Ok(kilobytes * 1024.0 / 1e6)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let Ok(pid) = i32::try_from(self.child.id()) else {
            return;
        };
        // Unless it has ended already; then there is nothing to stop.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let until = Instant::now() + Duration::from_secs(40);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _gone = self.child.kill();
                let _reaped = self.child.wait();
                return;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Cluster {
    /// Makes a cluster with the base database in it.
    pub async fn start() -> Result<Self, Error> {
        // Not /tmp, which may be memory: a flush to that is none.
        let parent = std::env::var_os("AQUA_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into());
        let folder = tempfile::Builder::new()
            .prefix("aqua-bench-")
            .tempdir_in(parent)?;
        open_to_all(folder.path())?;
        let settings = Settings {
            name: "keeper",
            database: None,
            coalesce: true,
        };
        let keeper = Service::start(folder.path(), settings, None)?;
        let pid_file = fs::read_to_string(folder.path().join("postgres/postmaster.pid"))?;
        let socket = pid_file
            .lines()
            .nth(4)
            .ok_or("PostgreSQL has no socket")?
            .into();
        let cluster = Self {
            keeper,
            socket,
            folder,
        };
        cluster
            .sql("postgres", &format!("CREATE DATABASE {BASE} OWNER {ROLE}"))
            .await?;
        cluster.seed().await?;
        Ok(cluster)
    }

    async fn seed(&self) -> Result<(), Error> {
        let service = self.serve(Settings {
            name: BASE,
            database: Some(BASE),
            coalesce: true,
        })?;
        self.import_products(BASE, USUAL, PRODUCTS)?;
        seed_clients(&service.target(USUAL)).await?;
        drop(service);
        self.sql(
            BASE,
            "TRUNCATE order_item, order_receiver, orders, feed, feed_head, feed_mark, journal_rejected, journal_batch",
        )
        .await?;
        self.sql(BASE, "VACUUM ANALYZE").await
    }

    /// Another database like the base.
    pub async fn create(&self, name: &str) -> Result<(), Error> {
        self.sql(
            "postgres",
            &format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {BASE}"),
        )
        .await
    }

    /// Another database, with nothing in it.
    pub async fn create_empty(&self, name: &str) -> Result<(), Error> {
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}"))
            .await
    }

    /// Starts a service on a database of the cluster.
    pub fn serve(&self, settings: Settings<'_>) -> Result<Service, Error> {
        let url = settings.database.map(|database| self.url(database));
        Service::start(self.folder.path(), settings, url.as_deref())
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://{ROLE}@localhost/{database}?host={}",
            self.socket.display()
        )
    }

    /// The cluster's log, all of it.
    pub fn log(&self) -> Result<String, Error> {
        let mut text = String::new();
        for entry in fs::read_dir(self.folder.path().join("postgres/log"))? {
            text += &String::from_utf8_lossy(&fs::read(entry?.path())?);
        }
        Ok(text)
    }

    /// As the service connects.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .username(ROLE)
            .database(database)
    }

    /// Statements as the superuser, each by itself.
    pub async fn sql(&self, database: &str, statements: &str) -> Result<(), Error> {
        let options = self.options(database).username("postgres");
        let mut connection = options.connect().await?;
        for statement in statements.split(";\n") {
            connection
                .execute(AssertSqlSafe(statement.to_owned()))
                .await?;
        }
        connection.close().await?;
        Ok(())
    }

    /// What a setting or a query says, as the superuser.
    pub async fn ask(&self, database: &str, query: &str) -> Result<String, Error> {
        let options = self.options(database).username("postgres");
        let mut connection = options.connect().await?;
        let said = sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(said)
    }

    /// Imports so many products, the ordered ones among them.
    pub fn import_products(
        &self,
        database: &str,
        publication: &str,
        count: u32,
    ) -> Result<(), Error> {
        let mut table = "number;name;active;sender_ids\n".to_owned();
        for product in 0..count {
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "{};Вода питьевая 19 л. «Ключ {product}»;1;{}",
                product + 1,
                product_id(product)
            );
        }
        let folder = self.folder.path();
        let file = folder.join("products.csv");
        fs::write(&file, table)?;
        let settings = settings_file(folder, "import", true)?;
        let done = command(folder, &settings, Some(&self.url(database)))
            .args(["import", "products"])
            .arg(&file)
            .args(["--publication", publication])
            .output()?;
        if done.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned().into())
        }
    }

    /// Whether the cluster still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.keeper.child.try_wait(), Ok(None))
    }

    /// Fills a database like the base with that many orders, as if they had come one by one from the usual clients and
    /// from others.
    pub async fn fill(&self, database: &str, orders: u64) -> Result<(), Error> {
        let others = orders * 3 / 10;
        // Rows that are known to be right: checking their foreign keys one by one would take minutes.
        let statements = format!(
            "SET session_replication_role = replica;
SET synchronous_commit = off;
SET maintenance_work_mem = '256MB';
CREATE TEMPORARY TABLE regular AS
SELECT row_number() OVER (ORDER BY c.number) - 1 AS place, c.number AS client, min(a.number) AS address
FROM client c JOIN address a ON a.publication = c.publication AND a.client_number = c.number
WHERE c.publication = '{USUAL}' AND c.sender_id LIKE 'regular-client-%'
GROUP BY c.number;
CREATE TEMPORARY TABLE start AS
SELECT (SELECT coalesce(max(number), 0) FROM client WHERE publication = '{USUAL}') AS client,
       (SELECT coalesce(max(number), 0) FROM address WHERE publication = '{USUAL}') AS address,
       (SELECT next::int - 1 FROM number_counter WHERE publication = '{USUAL}' AND kind = 'order') AS number,
       (SELECT count(*) FROM regular) AS regulars;
INSERT INTO client (publication, number, sender_id, guest_phone, username, phone, phones, account_number)
SELECT '{USUAL}', s.client + i, CASE i % 2 WHEN 0 THEN 'filled-client-' || md5(i::text) END,
       CASE i % 2 WHEN 1 THEN '+7' || 9000000000 + i END, 'Василий Тестовый', '+7' || 9000000000 + i, '{{}}', s.client + i
FROM start s, generate_series(1, {others}) i;
INSERT INTO address (publication, number, client_number, city, street, house, str, entrance, floor, room)
SELECT '{USUAL}', s.address + i, s.client + i, 'Сыктывкар', 'Кутузова', (i % 120)::text,
       'город Сыктывкар улица Кутузова дом ' || i % 120, '1', '1', (i % 300)::text
FROM start s, generate_series(1, {others}) i;
INSERT INTO orders (publication, number, uuid, sender_id, status, client_number, address_number, created_at, total,
                    delivery_cost, coins, payment_type, shipping_date_from, shipping_date_to, comment,
                    count_of_returned_bottles, shipping_address)
SELECT '{USUAL}', s.number + i, gen_random_uuid(), 'filled-' || md5(i::text), 'completed',
       CASE WHEN i % 10 < 7 THEN r.client ELSE s.client + 1 + i * 3 / 10 % {others} END,
       CASE WHEN i % 10 < 7 THEN r.address ELSE s.address + 1 + i * 3 / 10 % {others} END,
       now(), 700, 30, 0, 'cash', '2026-11-01 09:00Z', '2026-11-01 18:00Z', 'Позвонить за час до доставки', 1,
       jsonb_build_object('city', 'Сыктывкар', 'street', 'Кутузова', 'house', (i % 120)::text,
                          'str', 'город Сыктывкар улица Кутузова дом ' || i % 120, 'entrance', '1', 'floor', '1',
                          'room', (i % 300)::text)
FROM start s, generate_series(1, {orders}) i JOIN regular r ON r.place = i % (SELECT regulars FROM start);
INSERT INTO order_item (publication, order_number, position, product_id, sender_id, product_number, name, price,
                        quantity, order_product_id)
SELECT '{USUAL}', s.number + i, position, p.sender_id, p.sender_id, p.product_number, 'Вода питьевая 19 л.', 150, 2, i
FROM start s, generate_series(1, {orders}) i, generate_series(0, 2) AS position,
     product_sender_id p
WHERE p.publication = '{USUAL}' AND p.product_number = 1 + (i + position) % {PRODUCTS};
UPDATE number_counter SET next = next + 1000 + {orders} WHERE kind <> 'product';
VACUUM ANALYZE;
CHECKPOINT",
        );
        self.sql(database, &statements).await
    }

    pub async fn machine(&self) -> Result<Machine, Error> {
        let first = |path: &str, name: &str| -> Option<String> {
            let text = fs::read_to_string(path).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kilobytes: f64 = first("/proc/meminfo", "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap_or_default();
        Ok(Machine {
            processor: first("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into()),
            cores: thread::available_parallelism()?.get(),
            memory_gib: kilobytes / 1024.0 / 1024.0,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            postgresql: self.ask("postgres", "SHOW server_version").await?,
            version: env!("CARGO_PKG_VERSION"),
            date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
        })
    }
}

/// PostgreSQL may have to run as somebody else, who must get there.
fn open_to_all(folder: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(
        folder,
        fs::Permissions::from_mode(0o755),
    )?)
}

/// Makes all usual clients known to a publication.
pub async fn seed_clients(target: &Target) -> Result<(), Error> {
    let plan = Plan {
        orders: Some(SEED_ORDERS),
        batch: 1_000,
        ..plan()
    };
    measured(&mut Load::prepare(target, &plan).await?)
        .await
        .map(drop)
}

/// One caller, new orders, one at a time.
pub fn plan() -> Plan {
    Plan {
        batch: 1,
        callers: 1,
        workload: Workload::New,
        orders: None,
        duration: Duration::from_secs(1),
        rate: None,
        bad_percent: 0,
        client: None,
        seed: 1,
    }
}

/// One round of a load; anything unexpected is no result.
pub async fn measured(load: &mut Load) -> Result<Report, Error> {
    let report = load.run(|_| ()).await?;
    if report.wrong > 0 || report.busy > 0 || report.orders == 0 {
        return Err(format!(
            "{} batches were answered wrong and {} with 503, of {}: no result",
            report.wrong, report.busy, report.batches
        )
        .into());
    }
    Ok(report)
}
