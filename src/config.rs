//! File + environment -> one validated [`Config`]. The file's keys are documented in `config/default.toml`.

use std::{
    collections::HashMap,
    env, fmt, fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use argon2::{ARGON2ID_IDENT, Params, PasswordHash};
use ipnet::IpNet;
use toml::de::DeTable;

use self::file::{At, Problems, Table, meant};
use crate::{
    memory::NETWORK_PART,
    order::{Rules, phone::Region},
};

mod file;

/// A text that must never be printed: a password or a URL that holds one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text so that `Debug` hides it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first line of a file, as Docker's secrets are handed over.
    fn from_file(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        match text.lines().next().map(str::trim) {
            None | Some("") => Err(format!(
                "there is nothing on the first line of {}",
                path.display()
            )),
            Some(secret) => Ok(Self::new(secret)),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Everything the service is told from outside, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Where senders connect. `listen`, overridden by `AQUA_LISTEN`.
    pub listen: SocketAddr,
    /// `[operator]`
    pub operator: Operator,
    /// `[log]`
    pub log: Log,
    /// `[traces]`
    pub traces: Traces,
    /// `[database]`
    pub database: Database,
    /// `[limits]` (contract §1)
    pub limits: Limits,
    /// `[times]`
    pub times: Times,
    /// `[journal]`
    pub journal: Journal,
    /// `[logins]`
    pub logins: Logins,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `tls`: where senders speak TLS with us.
    pub tls: Option<Tls>,
    /// `[backup]`
    pub backup: Backup,
    /// `[[publication]]`, at least one.
    pub publications: Vec<Publication>,
}

/// What an operator has of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Where health and metrics are asked for. `listen`, overridden by `AQUA_OPERATOR_LISTEN`; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether the description of the call and the test page are where senders connect, too.
    pub public_docs: bool,
    /// Names by which that listener is called, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// How log lines look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// An `env-filter` directive such as `info` or `aqua_orders=debug`. `RUST_LOG` overrides it.
    pub level: String,
}

/// Where spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// A collector that takes OTLP over HTTP; `None`: none are made.
    pub endpoint: Option<String>,
    /// One of so many requests is traced, where the caller does not trace it itself.
    pub one_of: u32,
}

/// Where orders are kept.
#[derive(Debug, Clone)]
pub struct Database {
    /// A PostgreSQL server; overridden by `DATABASE_URL`. `None`: the private cluster under `data_dir`.
    pub url: Option<Secret>,
    /// The private cluster's folder (default `./data/postgres`); overridden by `AQUA_DATA_DIR`.
    pub data_dir: PathBuf,
    /// Connections kept to PostgreSQL.
    pub connections: u32,
    /// Memory for clients as read last; 0: none.
    pub client_cache_bytes: usize,
    /// Whether a server may be used that forgets in a power cut (`fsync`, `synchronous_commit` or `full_page_writes`
    /// off).
    pub may_lose_orders: bool,
    /// PostgreSQL's own `statement_timeout`; shorter than `times.answer`, so that what was given up on never lands.
    pub statement_timeout: Duration,
    /// PostgreSQL's own `lock_timeout`.
    pub lock_timeout: Duration,
    /// How long to wait for the server when the service starts.
    pub start_timeout: Duration,
}

/// The contract's limits (§1), each a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest body in bytes, after decompression.
    pub body_bytes: usize,
    /// Most orders in a batch.
    pub batch_orders: usize,
    /// Most lines in an order.
    pub order_items: usize,
    /// Most addresses in a client.
    pub client_addresses: usize,
    /// Most batches that may wait for the database; one more is answered 503.
    pub waiting_batches: usize,
    /// Whether small batches that wait together share a transaction.
    pub coalesce: bool,
    /// Most connections at the same time; one more takes the slot of one whose request is not whole, or is answered 503.
    pub connections: usize,
    /// Of them, most of one address.
    pub connections_per_address: usize,
    /// Of them, most of one wide network: a /24, under IPv6 a /48.
    pub connections_per_network: usize,
    /// Largest answer in bytes; a batch whose answer would be larger is refused before anything of it is stored.
    pub answer_bytes: usize,
    /// How many batches an address may try out in a minute where a publication is anonymous.
    pub dry_runs_per_minute: u32,
    /// Most bytes of bodies that are received, worked on or answered at the same time; what goes beyond is answered 503.
    pub bytes_in_flight: usize,
}

impl Limits {
    /// An order takes up so many of `bytes_in_flight` at least, however short its text: its faults, or the order as it is
    /// answered, do.
    pub const ROOM_OF_AN_ORDER: usize = 1536;
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// From the whole body read to the answer; past it the answer is 503.
    pub answer: Duration,
    /// For a caller to send its request line and headers.
    pub headers: Duration,
    /// For a caller to send its whole body.
    pub body: Duration,
    /// How long a caller may keep us waiting that takes its answer too slowly; then it is hung up on.
    pub write: Duration,
    /// So much longer it may with each MiB of the answer that it takes.
    pub write_mib: Duration,
    /// How long a stop waits for what was taken.
    pub stop: Duration,
}

/// For how many days each kind of entry is kept in the journal; 0: for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// A line for each batch. One of which an order is kept stays as long as that.
    pub keep_batches: u32,
    /// Rejected orders, and accepted ones with remarks, with their bodies.
    pub keep_rejected: u32,
    /// What changed of orders.
    pub keep_changes: u32,
    /// Most bytes of such orders that are kept of a publication and day; what goes beyond is counted.
    pub rejected_bytes_per_day: usize,
}

/// How wrong passwords are slowed down, per address and per login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logins {
    /// So many wrong ones cost nothing.
    pub free_failures: u32,
    /// The pause between two tries doubles with each wrong one, up to this.
    pub longest_pause: Duration,
    /// After so long without a wrong one all is forgotten.
    pub forget: Duration,
}

/// Files for TLS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate with those that vouch for it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Where backups are looked for. Somebody else makes them (`deploy/backup.sh`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Their folder; overridden by `AQUA_BACKUP_FOLDER`. `None`: nobody looks.
    pub folder: Option<PathBuf>,
    /// How old the newest may become.
    pub max_age: Duration,
}

/// One 1C infobase published under a name: one tenant (contract, "Words").
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its name, lower-cased: the key of everything it owns in the database.
    pub name: String,
    /// More names of the same tenant, lower-cased.
    pub aliases: Vec<String>,
    /// Who may post.
    pub access: Access,
    /// Networks that may post; empty = any.
    pub allow_from: Vec<IpNet>,
    /// Whether anybody anywhere may post: it is anonymous, without networks, and reached from beyond this machine, by
    /// itself or through a proxy.
    pub anonymous_from_anywhere: bool,
    /// How its orders are read and answered.
    pub rules: Rules,
    /// Where counting starts, per kind of record.
    pub first_numbers: FirstNumbers,
    /// Folder of CSV files to load once, while the publication is empty. Relative to the settings file.
    pub demo_data: Option<PathBuf>,
}

/// Who may post to a publication (contract §1).
#[derive(Debug, Clone)]
pub enum Access {
    /// Anybody; an `Authorization` header is ignored.
    Anonymous,
    /// HTTP Basic.
    Users(Vec<User>),
}

/// One login of a publication.
#[derive(Debug, Clone)]
pub struct User {
    /// Login, UTF-8.
    pub login: String,
    /// argon2id hash as a PHC string.
    pub password_hash: Secret,
}

/// The first number given to a record of each kind (contract §4.3); 1 unless set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstNumbers {
    /// `first_order_number`
    pub order: i32,
    /// `first_client_number`
    pub client: i32,
    /// `first_address_number`
    pub address: i32,
    /// `first_product_number`
    pub product: i32,
}

/// What the environment says: it overrides the file.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `DATABASE_URL`
    pub database_url: Option<Secret>,
    /// `DATABASE_URL_FILE`: a file with the same.
    pub database_url_file: Option<PathBuf>,
    /// `AQUA_LISTEN`
    pub listen: Option<String>,
    /// `AQUA_OPERATOR_LISTEN`
    pub operator_listen: Option<String>,
    /// `AQUA_DATA_DIR`
    pub data_dir: Option<PathBuf>,
    /// `AQUA_BACKUP_FOLDER`
    pub backup_folder: Option<PathBuf>,
}

impl Environment {
    /// This process's. An empty variable counts as none: compose files often set those.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            database_url: text("DATABASE_URL").map(Secret::new),
            database_url_file: text("DATABASE_URL_FILE").map(PathBuf::from),
            listen: text("AQUA_LISTEN"),
            operator_listen: text("AQUA_OPERATOR_LISTEN"),
            data_dir: text("AQUA_DATA_DIR").map(PathBuf::from),
            backup_folder: text("AQUA_BACKUP_FOLDER").map(PathBuf::from),
        }
    }
}

/// Why there is no [`Config`]. Its text is for the operator: each fault with its file, line and mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the settings file {}: {source}; name another with --config or AQUA_CONFIG", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says something that cannot be.
    #[error("{0}")]
    Wrong(String),
}

impl Config {
    /// Reads and checks a settings file. Everything that is wrong with it is reported at once.
    ///
    /// # Errors
    /// [`Error`], with lines.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text, environment)
    }

    /// The same for the text of a file.
    ///
    /// # Errors
    /// [`Error::Wrong`]
    pub fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Self, Error> {
        let problems = Problems::new(path, text);
        let root = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            problems.add(at, format!("this is not TOML: {}", error.message()));
            Error::Wrong(problems.report())
        })?;
        let config = read(
            Table::root(root.get_ref(), &problems),
            path,
            environment,
            &problems,
        );
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Error::Wrong(problems.report()))
        }
    }

    /// The publication of that name or alias, whatever its case.
    #[must_use]
    pub fn publication(&self, name: &str) -> Option<&Publication> {
        let name = name.to_lowercase();
        self.publications
            .iter()
            .find(|known| known.name == name || known.aliases.contains(&name))
    }

    /// What is allowed, and should be known all the same: said at the start, by `/readyz` and by `doctor`.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let has_logins = |publication: &Publication| matches!(publication.access, Access::Users(_));
        if self.tls.is_none()
            && !self.listen.ip().is_loopback()
            && self.publications.iter().any(has_logins)
        {
            notes.push(format!(
                "passwords come to {} in plain text: set `tls`, or see to it that only a proxy with TLS reaches that address",
                self.listen
            ));
        }
        if let Some(Tls { key, .. }) = &self.tls
            && let Ok(found) = fs::metadata(key)
            && found.mode() & 0o077 != 0
        {
            notes.push(format!(
                "the key {} may be read by others than its owner: chmod 600 {0}",
                key.display()
            ));
        }
        notes
    }
}

/// Where nothing else is said. `config/default.toml` says the same, which a test holds equal.
mod default {
    pub(super) const LISTEN: &str = "127.0.0.1:8888";
    pub(super) const OPERATOR_LISTEN: &str = "127.0.0.1:9888";
    pub(super) const PUBLIC_DOCS: bool = false;
    pub(super) const LOG_LEVEL: &str = "info";
    pub(super) const ONE_OF: i64 = 1;
    pub(super) const DATA_DIR: &str = "data/postgres";
    pub(super) const CONNECTIONS: i64 = 8;
    pub(super) const CLIENT_CACHE_BYTES: i64 = 16 * 1024 * 1024;
    pub(super) const MAY_LOSE_ORDERS: bool = false;
    pub(super) const STATEMENT_TIMEOUT: u64 = 10;
    pub(super) const LOCK_TIMEOUT: u64 = 5;
    pub(super) const START_TIMEOUT: u64 = 60;
    pub(super) const BODY_BYTES: i64 = 16 * 1024 * 1024;
    pub(super) const BATCH_ORDERS: i64 = 5_000;
    pub(super) const ORDER_ITEMS: i64 = 500;
    pub(super) const CLIENT_ADDRESSES: i64 = 100;
    pub(super) const WAITING_BATCHES: i64 = 256;
    pub(super) const COALESCE: bool = true;
    pub(super) const CONNECTIONS_OF_CALLERS: i64 = 2_000;
    pub(super) const CONNECTIONS_PER_ADDRESS: i64 = 500;
    pub(super) const CONNECTIONS_PER_NETWORK: i64 = 1_000;
    pub(super) const ANSWER_BYTES: i64 = 24 * 1024 * 1024;
    pub(super) const DRY_RUNS_PER_MINUTE: i64 = 60;
    pub(super) const BYTES_IN_FLIGHT: i64 = 128 * 1024 * 1024;
    pub(super) const FREE_FAILURES: i64 = 5;
    pub(super) const LONGEST_PAUSE: u64 = 4;
    pub(super) const FORGET: u64 = 900;
    pub(super) const ANSWER: u64 = 20;
    pub(super) const HEADERS: u64 = 10;
    pub(super) const BODY: u64 = 60;
    pub(super) const WRITE: u64 = 30;
    pub(super) const WRITE_MIB: u64 = 30;
    pub(super) const STOP: u64 = 25;
    pub(super) const KEEP_BATCHES: i64 = 90;
    pub(super) const KEEP_REJECTED: i64 = 365;
    pub(super) const KEEP_CHANGES: i64 = 365;
    pub(super) const REJECTED_BYTES_PER_DAY: i64 = 64 * 1024 * 1024;
    pub(super) const BACKUP_MAX_AGE: u64 = 26 * 60 * 60;
    pub(super) const TIMEZONE: chrono_tz::Tz = chrono_tz::Europe::Moscow;
}

/// Reads the whole file. What is wrong goes to `problems`; the result counts only where there are none.
fn read(
    mut root: Table<'_, '_>,
    path: &Path,
    environment: &Environment,
    problems: &Problems<'_>,
) -> Config {
    let listen = listen(&mut root, environment, problems);
    let operator = operator(root.table("operator"), environment, problems);
    let log = log(root.table("log"));
    let traces = traces(root.table("traces"));
    let limits = limits(root.table("limits"), problems);
    let times = times(root.table("times"));
    let journal = journal(root.table("journal"));
    let logins = logins(root.table("logins"));
    let trusted_proxies = networks(&mut root, "trusted_proxies", problems);
    let has_tls = root.at("tls").is_some();
    let tls = tls(root.table("tls"), has_tls, path, problems);
    let database = database(root.table("database"), &times, environment, problems);
    let backup = backup(root.table("backup"), path, environment);

    let like = "written as [[publication]], one block for each";
    let reach = Reach {
        listen,
        behind_proxies: !trusted_proxies.is_empty(),
    };
    let mut publications = Vec::new();
    match root.tables("publication", like) {
        Some(tables) => {
            let mut names = HashMap::new();
            for table in tables {
                publications.push(publication(
                    table, path, &limits, reach, &mut names, problems,
                ));
            }
        }
        None if root.at("publication").is_none() => problems.add(
            0,
            "no publication: add a [[publication]] block with `name` and `users` or `anonymous = true`",
        ),
        None => {}
    }
    root.finish(&[("publications", "write [[publication]], one block for each")]);
    Config {
        path: path.to_owned(),
        listen: listen.unwrap_or(([127, 0, 0, 1], 0).into()),
        operator,
        log,
        traces,
        database,
        limits,
        times,
        journal,
        logins,
        trusted_proxies,
        tls,
        backup,
        publications,
    }
}

/// A list of networks; an address is one of its own.
fn networks(table: &mut Table<'_, '_>, key: &'static str, problems: &Problems<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for At { at, value } in table.texts(key).unwrap_or_default() {
        match value.parse::<IpNet>().or_else(|error| {
            value
                .parse::<std::net::IpAddr>()
                .map(IpNet::from)
                .map_err(|_| error)
        }) {
            Ok(network) => networks.push(network),
            Err(_) => problems.add(
                at,
                format!("`{key}`: {value:?} is no network; write one as in \"10.0.0.0/8\" or \"192.0.2.7\""),
            ),
        }
    }
    networks
}

fn logins(mut table: Table<'_, '_>) -> Logins {
    let free = table.number("free_failures", 0..=1_000_000);
    let mut seconds = |key, default| table.seconds(key).unwrap_or(Duration::from_secs(default));
    let logins = Logins {
        longest_pause: seconds("longest_pause", default::LONGEST_PAUSE),
        forget: seconds("forget", default::FORGET),
        free_failures: u32::try_from(free.unwrap_or(default::FREE_FAILURES)).unwrap_or(u32::MAX),
    };
    table.finish(&[]);
    logins
}

fn tls(
    mut table: Table<'_, '_>,
    wanted: bool,
    path: &Path,
    problems: &Problems<'_>,
) -> Option<Tls> {
    let at = table.at;
    let mut file = |key| table.text(key).map(|file| beside(path, file.value));
    let (cert, key) = (file("cert"), file("key"));
    table.finish(&[]);
    let tls = cert.zip(key).map(|(cert, key)| Tls { cert, key });
    if wanted && tls.is_none() {
        problems.add(
            at,
            "`tls` needs both files: tls = { cert = \"fullchain.pem\", key = \"privkey.pem\" }",
        );
    }
    tls
}

fn listen(
    root: &mut Table<'_, '_>,
    environment: &Environment,
    problems: &Problems<'_>,
) -> Option<SocketAddr> {
    let address = |text: &str| {
        text.parse::<SocketAddr>().map_err(|_| {
            "write an IP address and a port, as in \"127.0.0.1:8888\" or \"[::1]:8888\"".to_owned()
        })
    };
    let in_environment = ("AQUA_LISTEN", environment.listen.as_deref());
    listen_of(root, in_environment, default::LISTEN, address, problems)
}

fn operator(
    mut table: Table<'_, '_>,
    environment: &Environment,
    problems: &Problems<'_>,
) -> Operator {
    let address = |text: &str| match text {
        "off" => Ok(None),
        text => text.parse::<SocketAddr>().map(Some).map_err(|_| {
            "write an IP address and a port, as in \"127.0.0.1:9888\", or \"off\"".to_owned()
        }),
    };
    let in_environment = (
        "AQUA_OPERATOR_LISTEN",
        environment.operator_listen.as_deref(),
    );
    let listen = listen_of(
        &mut table,
        in_environment,
        default::OPERATOR_LISTEN,
        address,
        problems,
    );
    let public_docs = table.flag("public_docs").unwrap_or(default::PUBLIC_DOCS);
    let hosts = table.texts("hosts").unwrap_or_default();
    let hosts = hosts
        .into_iter()
        .map(|At { at, value }| {
            if value.is_empty() || value.contains([':', '/', '*']) || !value.is_ascii() {
                problems.add(
                    at,
                    format!("`hosts`: {value:?} is no host's name; write one as in \"orders.example.org\", without a port"),
                );
            }
            value.to_ascii_lowercase()
        })
        .collect();
    table.finish(&[]);
    Operator {
        listen: listen.flatten(),
        public_docs,
        hosts,
    }
}

/// The table's `listen`, unless the environment's variable overrides it. `None` where what counts is wrong.
fn listen_of<T>(
    table: &mut Table<'_, '_>,
    (variable, value): (&str, Option<&str>),
    default: &str,
    address: impl Fn(&str) -> Result<T, String>,
    problems: &Problems<'_>,
) -> Option<T> {
    let in_file = table.at("listen").is_some();
    let from_file = table.parsed("listen", &address).map(|listen| listen.value);
    match value {
        Some(text) => match address(text) {
            Ok(listen) => Some(listen),
            Err(what) => {
                problems.add(0, format!("{variable} in the environment: {what}"));
                None
            }
        },
        None if in_file => from_file,
        None => address(default).ok(),
    }
}

fn log(mut table: Table<'_, '_>) -> Log {
    let json = table.parsed("format", |text| match text {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err("write \"text\" or \"json\"".into()),
    });
    let level = table.parsed("level", |text| {
        tracing_subscriber::EnvFilter::try_new(text)
            .map(|_| text.to_owned())
            .map_err(|error| format!("{error}; write error, warn, info, debug or trace"))
    });
    table.finish(&[]);
    Log {
        json: json.is_some_and(|json| json.value),
        level: level.map_or_else(|| default::LOG_LEVEL.into(), |level| level.value),
    }
}

fn traces(mut table: Table<'_, '_>) -> Traces {
    let endpoint = table.parsed("endpoint", |text| match text {
        "" => Ok(None),
        text if text.starts_with("http://") && text.parse::<::http::Uri>().is_ok() => {
            Ok(Some(text.to_owned()))
        }
        _ => Err(
            "write the address of a collector nearby, as in \"http://127.0.0.1:4318/v1/traces\"; it may speak TLS to others"
                .into(),
        ),
    });
    let one_of = table.number("one_of", 1..=1_000_000);
    table.finish(&[]);
    Traces {
        endpoint: endpoint.and_then(|endpoint| endpoint.value),
        one_of: u32::try_from(one_of.unwrap_or(default::ONE_OF)).unwrap_or(u32::MAX),
    }
}

fn size(number: Option<i64>, default: i64) -> usize {
    usize::try_from(number.unwrap_or(default)).unwrap_or(usize::MAX)
}

fn limits(mut table: Table<'_, '_>, problems: &Problems<'_>) -> Limits {
    let coalesce = table.flag("coalesce").unwrap_or(default::COALESCE);
    let mut most = |key, range, default| size(table.number(key, range), default);
    let limits = Limits {
        body_bytes: most("body_bytes", 1024..=1024 * 1024 * 1024, default::BODY_BYTES),
        batch_orders: most("batch_orders", 1..=100_000, default::BATCH_ORDERS),
        order_items: most("order_items", 1..=100_000, default::ORDER_ITEMS),
        client_addresses: most("client_addresses", 1..=100_000, default::CLIENT_ADDRESSES),
        waiting_batches: most("waiting_batches", 1..=1_000_000, default::WAITING_BATCHES),
        coalesce,
        connections: most(
            "connections",
            1..=1_000_000,
            default::CONNECTIONS_OF_CALLERS,
        ),
        connections_per_address: most(
            "connections_per_address",
            1..=1_000_000,
            default::CONNECTIONS_PER_ADDRESS,
        ),
        connections_per_network: most(
            "connections_per_network",
            1..=1_000_000,
            default::CONNECTIONS_PER_NETWORK,
        ),
        answer_bytes: most("answer_bytes", 1024..=1 << 40, default::ANSWER_BYTES),
        dry_runs_per_minute: u32::try_from(most(
            "dry_runs_per_minute",
            0..=1_000_000,
            default::DRY_RUNS_PER_MINUTE,
        ))
        .unwrap_or(u32::MAX),
        bytes_in_flight: most("bytes_in_flight", 1024..=1 << 40, default::BYTES_IN_FLIGHT),
    };
    let least = limits
        .body_bytes
        .max(limits.batch_orders.saturating_mul(Limits::ROOM_OF_AN_ORDER));
    let least = least.saturating_mul(NETWORK_PART);
    if limits.bytes_in_flight < least {
        problems.add(
            table.at("bytes_in_flight").unwrap_or(table.at),
            format!(
                "`bytes_in_flight` must be at least {least}: {NETWORK_PART} times as large as `body_bytes`, and {NETWORK_PART} times {} \
                 for each of `batch_orders`; else the largest batch is never taken, for one caller has a part of it only",
                Limits::ROOM_OF_AN_ORDER
            ),
        );
    }
    table.finish(&[]);
    limits
}

fn times(mut table: Table<'_, '_>) -> Times {
    let mut seconds = |key, default| table.seconds(key).unwrap_or(Duration::from_secs(default));
    let times = Times {
        answer: seconds("answer", default::ANSWER),
        headers: seconds("headers", default::HEADERS),
        body: seconds("body", default::BODY),
        write: seconds("write", default::WRITE),
        write_mib: seconds("write_mib", default::WRITE_MIB),
        stop: seconds("stop", default::STOP),
    };
    table.finish(&[]);
    times
}

fn journal(mut table: Table<'_, '_>) -> Journal {
    let mut days = |key, default| {
        let days = table.number(key, 0..=36_500).unwrap_or(default);
        u32::try_from(days).unwrap_or(u32::MAX)
    };
    let journal = Journal {
        keep_batches: days("keep_batches", default::KEEP_BATCHES),
        keep_rejected: days("keep_rejected", default::KEEP_REJECTED),
        keep_changes: days("keep_changes", default::KEEP_CHANGES),
        rejected_bytes_per_day: size(
            table.number("rejected_bytes_per_day", 0..=1 << 40),
            default::REJECTED_BYTES_PER_DAY,
        ),
    };
    table.finish(&[]);
    journal
}

fn database(
    mut table: Table<'_, '_>,
    times: &Times,
    environment: &Environment,
    problems: &Problems<'_>,
) -> Database {
    let url = table.text("url").filter(|url| !url.value.is_empty());
    let data_dir = table.parsed("data_dir", |text| match text {
        "" => Err("write a folder, as in \"data/postgres\"".into()),
        folder => Ok(PathBuf::from(folder)),
    });
    let connections = table.number("connections", 2..=500);
    let client_cache_bytes = table.number("client_cache_bytes", 0..=1 << 32);
    let may_lose_orders = table.flag("may_lose_orders");
    let mut timeout = |key, default| {
        let at = table.at(key).unwrap_or(table.at);
        let time = table.seconds(key).unwrap_or(Duration::from_secs(default));
        // Otherwise a statement could land after its batch was answered 503 (contract §1).
        if time >= times.answer {
            problems.add(
                at,
                format!("`{key}` must be shorter than `answer` in [times]: what was given up on must not be stored later"),
            );
        }
        time
    };
    let statement_timeout = timeout("statement_timeout", default::STATEMENT_TIMEOUT);
    let lock_timeout = timeout("lock_timeout", default::LOCK_TIMEOUT);
    let start_timeout = table
        .seconds("start_timeout")
        .unwrap_or(Duration::from_secs(default::START_TIMEOUT));
    table.finish(&[]);
    let from_environment = match (&environment.database_url, &environment.database_url_file) {
        (Some(_), Some(_)) => {
            problems.add(
                0,
                "DATABASE_URL and DATABASE_URL_FILE are both in the environment: take one of them out",
            );
            None
        }
        (None, Some(path)) => Secret::from_file(path)
            .map_err(|what| {
                problems.add(0, format!("DATABASE_URL_FILE in the environment: {what}"));
            })
            .ok(),
        (url, None) => url.clone(),
    };
    Database {
        url: from_environment.or_else(|| url.map(|url| Secret::new(url.value))),
        data_dir: environment
            .data_dir
            .clone()
            .or_else(|| data_dir.map(|folder| folder.value))
            .unwrap_or_else(|| default::DATA_DIR.into()),
        connections: u32::try_from(connections.unwrap_or(default::CONNECTIONS)).unwrap_or(u32::MAX),
        client_cache_bytes: usize::try_from(
            client_cache_bytes.unwrap_or(default::CLIENT_CACHE_BYTES),
        )
        .unwrap_or(usize::MAX),
        may_lose_orders: may_lose_orders.unwrap_or(default::MAY_LOSE_ORDERS),
        statement_timeout,
        lock_timeout,
        start_timeout,
    }
}

fn backup(mut table: Table<'_, '_>, path: &Path, environment: &Environment) -> Backup {
    let folder = table
        .text("folder")
        .filter(|folder| !folder.value.is_empty());
    // Days, where all other times are less than one.
    let max_age = table.seconds_up_to("max_age", 366 * 86_400);
    table.finish(&[]);
    Backup {
        folder: environment
            .backup_folder
            .clone()
            .or_else(|| folder.map(|folder| beside(path, folder.value))),
        max_age: max_age.unwrap_or(Duration::from_secs(default::BACKUP_MAX_AGE)),
    }
}

/// From where senders reach the service.
#[derive(Debug, Clone, Copy)]
struct Reach {
    listen: Option<SocketAddr>,
    /// Whether some of them come through proxies, from wherever those take them.
    behind_proxies: bool,
}

impl Reach {
    /// What anybody reaches who is not on this machine, and what to do where that is not meant. `None`: nothing.
    fn reached_by_anybody(self) -> Option<(String, &'static str)> {
        let listen = self.listen?;
        if !listen.ip().is_loopback() {
            Some((listen.to_string(), "listen on 127.0.0.1"))
        } else if self.behind_proxies {
            let whom = "one of `trusted_proxies`".to_owned();
            Some((whom, "take `trusted_proxies` out if there is no proxy"))
        } else {
            None
        }
    }
}

/// A publication's name or alias, in the form in which it is compared.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('/') || text.chars().any(char::is_control) {
        return Err("write the name that stands in the address, without slashes".into());
    }
    if text.chars().count() > 255 {
        return Err("too long: at most 255 characters".into());
    }
    Ok(text.to_lowercase())
}

fn publication<'t>(
    mut table: Table<'t, '_>,
    path: &Path,
    limits: &Limits,
    reach: Reach,
    names: &mut HashMap<String, &'t str>,
    problems: &Problems<'_>,
) -> Publication {
    let at = table.at;
    let mut taken = |at: usize, written: &'t str, name: &str| {
        if let Some(other) = names.insert(name.to_owned(), written) {
            problems.add(
                at,
                format!("two publications are called {other:?} (names and aliases are compared without case): rename one"),
            );
        }
    };
    let written = table.text("name");
    let key = match &written {
        None => {
            if table.at("name").is_none() {
                problems.add(
                    at,
                    "a publication without `name`: write the name that stands in the address",
                );
            }
            String::new()
        }
        Some(At { at, value }) => match name(value) {
            Ok(name) => {
                taken(*at, value, &name);
                name
            }
            Err(what) => {
                problems.add(*at, format!("`name`: {what}"));
                String::new()
            }
        },
    };
    let mut aliases = Vec::new();
    for At { at, value } in table.texts("aliases").unwrap_or_default() {
        match name(value) {
            Ok(alias) => {
                taken(at, value, &alias);
                aliases.push(alias);
            }
            Err(what) => problems.add(at, format!("`aliases`: {what}")),
        }
    }

    let allow_from = networks(&mut table, "allow_from", problems);
    let access = access(&mut table, path, !allow_from.is_empty(), reach, problems);
    let is_anonymous = matches!(access, Access::Anonymous);

    let timezone = table.parsed("timezone", |text| {
        text.parse::<chrono_tz::Tz>().map_err(|_| {
            let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
            match meant(text, known) {
                Some(zone) => format!("no time zone is called {text:?}; did you mean {zone:?}?"),
                None => {
                    format!("no time zone is called {text:?}; write one as in \"Europe/Moscow\"")
                }
            }
        })
    });
    let phone_region = table.parsed("phone_region", |text| {
        text.parse::<Region>().map_err(str::to_owned)
    });
    let payment_types = table
        .texts("payment_types")
        .map(|types| types.iter().map(|kind| kind.value.to_owned()).collect());
    let loyalty = table.flag("loyalty_system_is_active");
    let answers_stored = table.flag("answers_stored").unwrap_or(false);
    let mut first = |key| {
        let number = table.number(key, 1..=i64::from(i32::MAX)).unwrap_or(1);
        i32::try_from(number).unwrap_or(1)
    };
    let first_numbers = FirstNumbers {
        order: first("first_order_number"),
        client: first("first_client_number"),
        address: first("first_address_number"),
        product: first("first_product_number"),
    };
    let demo_data = table.parsed("demo_data", |text| {
        let folder = beside(path, text);
        if folder.is_dir() {
            Ok(folder)
        } else {
            Err(format!("there is no folder {}", folder.display()))
        }
    });
    table.finish(&[
        ("password", PLAIN),
        ("timezones", "write `timezone`, one for each publication"),
    ]);
    let anonymous_from_anywhere =
        is_anonymous && allow_from.is_empty() && reach.reached_by_anybody().is_some();
    Publication {
        name: key,
        aliases,
        access,
        anonymous_from_anywhere,
        allow_from,
        rules: Rules {
            timezone: timezone.map_or(default::TIMEZONE, |zone| zone.value),
            phone_region: phone_region.map_or_else(Region::default, |region| region.value),
            payment_types,
            loyalty_system_is_active: loyalty.unwrap_or(false),
            answers_stored: answers_stored || !anonymous_from_anywhere,
            max_order_items: limits.order_items,
            max_client_addresses: limits.client_addresses,
        },
        first_numbers,
        demo_data: demo_data.map(|folder| folder.value),
    }
}

/// A path that a settings file names lies beside that file, wherever the service is started.
fn beside(settings: &Path, path: &str) -> PathBuf {
    settings.parent().unwrap_or(Path::new("")).join(path)
}

const PLAIN: &str = "plain passwords are never kept; write `password_hash` with what `aqua-orders hash-password` prints";

fn access(
    table: &mut Table<'_, '_>,
    path: &Path,
    has_networks: bool,
    reach: Reach,
    problems: &Problems<'_>,
) -> Access {
    let at = table.at;
    let anonymous_at = table.at("anonymous").unwrap_or(at);
    let anonymous = table.flag("anonymous").unwrap_or(false);
    let from_anywhere = table.flag("anonymous_from_anywhere").unwrap_or(false);
    let users_at = table.at("users");
    let like = "a list of users, as in [{ login = \"site\", password_hash = \"$argon2id$…\" }]";
    let tables = table.tables("users", like);

    if anonymous {
        if let Some(at) = users_at {
            problems.add(
                at,
                "`users` and `anonymous = true` contradict each other: take one of them out",
            );
        }
        if let Some((whom, instead)) = reach.reached_by_anybody()
            && !has_networks
            && !from_anywhere
        {
            problems.add(
                anonymous_at,
                format!(
                    "an anonymous publication would take orders from anybody who reaches {whom}: give it `users` or \
                     `allow_from`, {instead}, or say `anonymous_from_anywhere = true`"
                ),
            );
        }
        // A typing mistake inside is reported all the same.
        for table in tables.into_iter().flatten() {
            user(table, path, problems);
        }
        return Access::Anonymous;
    }
    let mut users: Vec<User> = Vec::new();
    for table in tables.into_iter().flatten() {
        let at = table.at;
        if let Some(user) = user(table, path, problems) {
            if users.iter().any(|other| other.login == user.login) {
                problems.add(
                    at,
                    format!(
                        "two users are called {:?}: take one of them out",
                        user.login
                    ),
                );
            }
            users.push(user);
        }
    }
    if users.is_empty() && problems.is_empty() {
        problems.add(
            users_at.unwrap_or(at),
            "nobody could post to this publication: add `users` or `anonymous = true`",
        );
    }
    Access::Users(users)
}

/// An argon2id hash, of whose kind alone passwords are kept.
fn password_hash(text: &str) -> Result<Secret, String> {
    let how = "write what `aqua-orders hash-password` prints";
    match PasswordHash::new(text) {
        Ok(hash) if hash.algorithm != ARGON2ID_IDENT || hash.hash.is_none() => {
            Err(format!("only argon2id hashes are taken; {how}"))
        }
        Ok(hash) => match Params::try_from(&hash) {
            Ok(_) => Ok(Secret::new(text)),
            Err(_) => Err(format!("its parameters are not argon2id's; {how}")),
        },
        Err(_) => Err(format!("this is no PHC string; {how}")),
    }
}

fn user(mut table: Table<'_, '_>, path: &Path, problems: &Problems<'_>) -> Option<User> {
    let at = table.at;
    let login = table.parsed("login", |text| {
        if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
            Err("write a name without colons: HTTP Basic ends the login at the first colon".into())
        } else {
            Ok(text.to_owned())
        }
    });
    if table.at("login").is_none() {
        problems.add(at, "a user without `login`");
    }
    let hash = table.parsed("password_hash", password_hash);
    let in_file = table.parsed("password_hash_file", |text| {
        let hash = Secret::from_file(&beside(path, text))?;
        password_hash(hash.expose())
    });
    match (table.at("password_hash"), table.at("password_hash_file")) {
        (Some(_), Some(_)) => problems.add(
            at,
            "`password_hash` and `password_hash_file` say the same thing: take one of them out",
        ),
        (None, None) => problems.add(
            at,
            "a user without `password_hash`: write what `aqua-orders hash-password` prints",
        ),
        _ => {}
    }
    table.finish(&[
        ("password", PLAIN),
        ("user", "write `login`"),
        ("hash", "write `password_hash`"),
    ]);
    Some(User {
        login: login?.value,
        password_hash: hash.or(in_file)?.value,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ANONYMOUS: &str = "[[publication]]\nname = \"demo\"\nanonymous = true\n";
    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$K6VLQaNzJpAaWCuPzFQ9Aw";

    fn parse_with(text: &str, environment: &Environment) -> Result<Config, String> {
        Config::parse(Path::new("aqua.toml"), text, environment).map_err(|error| error.to_string())
    }

    fn parse(text: &str) -> Result<Config, String> {
        parse_with(text, &Environment::default())
    }

    /// The one report of a file that is wrong.
    fn report(text: &str) -> String {
        parse(text).expect_err("a fault")
    }

    #[test]
    fn the_default_file_says_what_holds_where_nothing_is_said() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/default.toml");
        let file = Config::load(&path, &Environment::default()).expect("the default file");
        let minimal = parse(ANONYMOUS).expect("a minimal file");
        assert_eq!(file.listen, minimal.listen);
        assert_eq!(file.operator, minimal.operator);
        assert_eq!(file.log, minimal.log);
        assert_eq!(file.limits, minimal.limits);
        assert_eq!(file.times, minimal.times);
        assert_eq!(file.logins, minimal.logins);
        assert_eq!(file.trusted_proxies, minimal.trusted_proxies);
        assert_eq!(file.tls, minimal.tls);
        assert_eq!(file.backup, minimal.backup);
        assert_eq!(
            format!("{:?}", file.database),
            format!("{:?}", minimal.database)
        );
        assert_eq!(file.publications[0].name, "demodelivery");
    }

    #[test]
    fn the_issues_minimal_file_is_enough() {
        let config = parse(
            "listen = \"127.0.0.1:8888\"\n[[publication]]\nname = \"demodelivery\"\ntimezone = \"Europe/Moscow\"\nanonymous = true\n",
        )
        .expect("a config");
        assert_eq!(config.listen, ([127, 0, 0, 1], 8888).into());
        assert!(matches!(config.publications[0].access, Access::Anonymous));
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_line_and_mend() {
        let text = format!(
            "listen = \"localhost\"\nlimit = 1\n[[publication]]\nname = \"Demo\"\ntimezone = \"Europe/Moskow\"\n\
             users = [{{ login = \"site\" }}]\n{ANONYMOUS}[times]\nanswer = \"fast\"\n"
        );
        let report = report(&text);
        let lines: Vec<&str> = report.lines().collect();
        let expected = [
            ("aqua.toml:1: `listen`:", "127.0.0.1:8888"),
            (
                "aqua.toml:2: unknown setting `limit`",
                "did you mean `limits`?",
            ),
            (
                "aqua.toml:5: `timezone`:",
                "did you mean \"Europe/Moscow\"?",
            ),
            (
                "aqua.toml:6: a user without `password_hash`",
                "aqua-orders hash-password",
            ),
            ("aqua.toml:8: two publications are called", "rename one"),
            ("aqua.toml:11: `answer` must be seconds", "not a text"),
        ];
        assert_eq!(lines.len(), expected.len(), "{report}");
        for (line, (start, end)) in lines.iter().zip(expected) {
            assert!(line.starts_with(start) && line.contains(end), "{line}");
        }
    }

    #[test]
    fn what_is_no_toml_has_its_line() {
        assert!(report("listen = \n").starts_with("aqua.toml:1: this is not TOML"));
        assert!(report("a = 1\nb = [\n").contains("aqua.toml:"));
    }

    #[test]
    fn no_publication_or_nobody_who_may_post_is_refused() {
        assert!(report("").contains("no publication"));
        assert!(report("[[publication]]\nname = \"a\"\n").contains("nobody could post"));
        assert!(
            report("[[publication]]\nname = \"a\"\nusers = []\n").contains("nobody could post")
        );
        assert!(report("[[publication]]\nanonymous = true\n").contains("without `name`"));
        assert!(report("[publication]\nname = \"a\"\n").contains("[[publication]]"));
    }

    #[test]
    fn a_password_is_only_taken_as_an_argon2id_hash() {
        let with = |user: &str| format!("[[publication]]\nname = \"a\"\nusers = [{user}]\n");
        let good = format!("{{ login = \"сайт\", password_hash = \"{HASH}\" }}");
        let config = parse(&with(&good)).expect("a config");
        assert!(
            !format!("{config:?}").contains("argon2id"),
            "a hash is printed"
        );
        for (user, says) in [
            (
                "{ login = \"a\", password = \"secret-42\" }",
                "plain passwords are never kept",
            ),
            (
                "{ login = \"a\", password_hash = \"secret-42\" }",
                "no PHC string",
            ),
            (
                "{ login = \"a\", password_hash = \"$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$K6VLQaNzJpAaWCuPzFQ9Aw\" }",
                "only argon2id",
            ),
            (
                "{ login = \"a\", password_hash = \"$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$K6VLQaNzJpAaWCuPzFQ9Aw\" }",
                "its parameters",
            ),
            (
                "{ login = \"a:b\", password_hash = \"x\" }",
                "without colons",
            ),
        ] {
            let report = report(&with(user));
            assert!(report.contains(says), "{report}");
            assert!(!report.contains("secret-42"), "{report}");
        }
        let twice = with(&format!("{good}, {good}"));
        assert!(report(&twice).contains("two users"));
    }

    #[test]
    fn an_anonymous_publication_is_refused_on_a_non_loopback_address_unless_the_config_says_so() {
        let open = format!("listen = \"0.0.0.0:8888\"\n{ANONYMOUS}");
        assert!(report(&open).starts_with("aqua.toml:4: an anonymous publication"));
        parse(&format!(
            "{open}allow_from = [\"10.0.0.0/8\", \"192.0.2.7\"]\n"
        ))
        .expect("networks");
        parse(&format!("{open}anonymous_from_anywhere = true\n")).expect("said in so many words");
        let environment = Environment {
            listen: Some("[::]:8888".into()),
            ..Environment::default()
        };
        assert!(
            parse_with(ANONYMOUS, &environment).is_err_and(|report| report.contains("[::]:8888"))
        );
    }

    #[test]
    fn passwords_in_plain_text_and_a_key_for_everybody_are_allowed_and_noted() {
        let users = format!(
            "[[publication]]\nname = \"a\"\nusers = [{{ login = \"site\", password_hash = \"{HASH}\" }}]\n"
        );
        let notes = |text: &str| parse(text).expect("right").notes();
        assert_eq!(notes(&users), [""; 0]);
        assert_eq!(notes(ANONYMOUS), [""; 0]);
        let public = "listen = \"192.0.2.7:8888\"\n";
        let anonymous = format!("{public}{ANONYMOUS}anonymous_from_anywhere = true\n");
        assert_eq!(notes(&anonymous), [""; 0], "no passwords");
        let said = notes(&format!("{public}{users}"));
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("192.0.2.7:8888 in plain text"), "{said:?}");

        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key.pem");
        fs::write(&key, "").expect("a file");
        let tls = format!("tls = {{ cert = \"cert.pem\", key = {key:?} }}\n{public}{users}");
        for (mode, noted) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o644, 1), (0o604, 1)] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("its mode");
            let said = notes(&tls);
            assert_eq!(said.len(), noted, "{mode:o}: {said:?}");
            assert!(said.iter().all(|note| note.contains("key.pem")));
        }
    }

    #[test]
    fn behind_a_trusted_proxy_loopback_is_anywhere() {
        let proxied = format!("trusted_proxies = [\"127.0.0.1\"]\n{ANONYMOUS}");
        let report = report(&proxied);
        assert!(
            report.starts_with("aqua.toml:4: an anonymous publication"),
            "{report}"
        );
        assert!(report.contains("one of `trusted_proxies`"), "{report}");
        let anonymous_from_anywhere = |text: &str| {
            let config = parse(text).expect("a config");
            config.publications[0].anonymous_from_anywhere
        };
        let said = format!("{proxied}anonymous_from_anywhere = true\n");
        assert!(anonymous_from_anywhere(&said));
        let networks = format!("{proxied}allow_from = [\"10.0.0.0/8\"]\n");
        assert!(!anonymous_from_anywhere(&networks));
        assert!(!anonymous_from_anywhere(ANONYMOUS));
        let needless = format!("{ANONYMOUS}anonymous_from_anywhere = true\n");
        assert!(
            !anonymous_from_anywhere(&needless),
            "nobody else reaches it"
        );
    }

    #[test]
    fn a_secret_may_lie_in_a_file_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file");
            path
        };
        let in_file = |path: &Path| Environment {
            database_url_file: Some(path.to_owned()),
            ..Environment::default()
        };
        let url = file("url", "postgres://somebody:hidden@db/aqua\n");
        let config = parse_with(ANONYMOUS, &in_file(&url)).expect("right");
        let url = config.database.url.expect("a URL");
        assert_eq!(url.expose(), "postgres://somebody:hidden@db/aqua");

        for (path, why) in [
            (folder.path().join("nothing"), "cannot read"),
            (file("empty", " \n"), "there is nothing on the first line"),
        ] {
            let report = parse_with(ANONYMOUS, &in_file(&path)).expect_err("a fault");
            assert!(
                report.contains("DATABASE_URL_FILE in the environment") && report.contains(why),
                "{report}"
            );
        }
        let both = Environment {
            database_url: Some(Secret::new("postgres://db/aqua")),
            ..in_file(&folder.path().join("url"))
        };
        let report = parse_with(ANONYMOUS, &both).expect_err("a fault");
        assert!(report.contains("both in the environment"), "{report}");

        // Beside the settings, as long as its path says nothing else.
        file("site.hash", &format!("{HASH}\n"));
        file("plain", "secret\n");
        let settings = folder.path().join("aqua.toml");
        let with = |user: &str| {
            let text = format!(
                "[[publication]]\nname = \"demo\"\nusers = [{{ login = \"site\", {user} }}]\n"
            );
            Config::parse(&settings, &text, &Environment::default())
                .map_err(|error| error.to_string())
        };
        let config = with("password_hash_file = \"site.hash\"").expect("right");
        let Access::Users(users) = &config.publications[0].access else {
            panic!("users")
        };
        assert_eq!(users[0].password_hash.expose(), HASH);
        let report = with("password_hash_file = \"plain\"").expect_err("a fault");
        assert!(report.contains("no PHC string"), "{report}");
        assert!(!report.contains("secret"), "{report}");
        let both = format!("password_hash = \"{HASH}\", password_hash_file = \"site.hash\"");
        let report = with(&both).expect_err("a fault");
        assert!(report.contains("say the same thing"), "{report}");
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = Environment {
            database_url: Some(Secret::new("postgres://somebody:hidden@db/aqua")),
            database_url_file: None,
            listen: Some("127.0.0.1:9999".into()),
            operator_listen: Some("off".into()),
            data_dir: Some("/srv/orders".into()),
            backup_folder: Some("/srv/backups".into()),
        };
        let config = parse_with(ANONYMOUS, &environment).expect("a config");
        assert_eq!(config.listen, ([127, 0, 0, 1], 9999).into());
        assert_eq!(config.operator.listen, None);
        assert!(config.database.url.is_some());
        assert_eq!(config.database.data_dir, Path::new("/srv/orders"));
        assert_eq!(config.backup.folder, Some("/srv/backups".into()));
        assert!(!format!("{config:?}").contains("hidden"));
    }

    #[test]
    fn a_databases_timeout_is_shorter_than_the_answers() {
        let text = format!(
            "[times]\nanswer = 5\n[database]\nstatement_timeout = 4.5\nlock_timeout = 5\n{ANONYMOUS}"
        );
        assert!(report(&text).starts_with("aqua.toml:5: `lock_timeout` must be shorter"));
    }

    #[test]
    fn a_publication_is_found_by_name_or_alias_whatever_the_case() {
        let config =
            parse("[[publication]]\nname = \"Доставка\"\naliases = [\"Web\"]\nanonymous = true\n")
                .expect("a config");
        assert_eq!(
            config.publication("дОСТАВКА").map(|p| p.name.as_str()),
            Some("доставка")
        );
        assert!(config.publication("wEB").is_some());
        assert!(config.publication("other").is_none());
    }
}
