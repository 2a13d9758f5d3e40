//! File + environment -> one validated [`Config`]. The file's keys are documented in `config/default.toml`.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use crate::order::Rules;

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
    /// `[log]`
    pub log: Log,
    /// `[database]`
    pub database: Database,
    /// `[limits]` (contract §1)
    pub limits: Limits,
    /// `[times]`
    pub times: Times,
    /// `[[publication]]`, at least one.
    pub publications: Vec<Publication>,
}

/// How log lines look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// An `env-filter` directive such as `info` or `aqua_orders=debug`. `RUST_LOG` overrides it.
    pub level: String,
}

/// Where orders are kept.
#[derive(Debug, Clone)]
pub struct Database {
    /// A PostgreSQL server; overridden by `DATABASE_URL`. `None`: the private cluster under `data_dir`.
    pub url: Option<Secret>,
    /// The private cluster's folder (default `./data/postgres`).
    pub data_dir: PathBuf,
    /// Connections kept to PostgreSQL.
    pub connections: u32,
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
    /// How long a stop waits for what was taken.
    pub stop: Duration,
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
    /// How its orders are read and answered.
    pub rules: Rules,
    /// Where counting starts, per kind of record.
    pub first_numbers: FirstNumbers,
    /// Folder of CSV files to load once, while the publication is empty.
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
