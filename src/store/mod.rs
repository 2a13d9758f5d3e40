//! sqlx lives here and nowhere else; set-based SQL only, and every statement names exactly one publication.
//!
//! A batch costs two round trips whatever its size: [`Store::read`] and [`Store::write`]. Neither opens a transaction
//! by hand: each statement is its own, so no connection can be handed on with one left open.

use std::{collections::HashSet, io, sync::Arc, time::Duration};

use parking_lot::RwLock;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::time::timeout;

pub mod catalogue;
mod client_cache;
mod connection;
pub mod console;
pub mod error;
pub mod feed;
mod health;
pub mod journal;
mod location;
pub mod merged;
pub mod numbers;
pub mod operator;
pub mod personal;
mod read;
mod settle;
mod statistics;
pub mod targets;
pub mod write;

pub use error::Error;
pub use health::{Health, Worker};
pub use write::{BatchRow, ChangeRow, KeptRow, Write};

use self::{
    client_cache::ClientCache,
    connection::{Connections, Taken},
    location::Shards,
};
use crate::{config, database::Servers};

/// How statements are planned. The hot ones look rows up by key, a few or a few thousand: one plan, made once for each
/// connection, that walks the indexes whatever the statistics say (see also read.sql and statistics.rs).
pub const PLANNING: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// What every session is set to, with the value as `pg_settings` has it.
#[must_use]
pub fn session_settings(settings: &config::Database) -> Vec<(&'static str, String)> {
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    let timeouts = [
        // What was given up on must never land after its answer (contract §1).
        ("statement_timeout", settings.statement_timeout),
        ("lock_timeout", settings.lock_timeout),
        (
            "idle_in_transaction_session_timeout",
            settings.statement_timeout,
        ),
    ];
    let timeouts = timeouts.map(|(name, duration)| (name, milliseconds(duration)));
    let planning = PLANNING.map(|(name, value)| (name, value.to_owned()));
    timeouts.into_iter().chain(planning).collect()
}

/// How sessions are made there.
fn sessions(servers: Servers, settings: &config::Database) -> Servers {
    servers.map(|options| {
        options
            .application_name("aqua-orders")
            .options(session_settings(settings))
    })
}

/// How much longer we wait for a statement than PostgreSQL's own timeout.
const GRACE: Duration = Duration::from_secs(1);

/// The database as the intake sees it.
#[derive(Debug, Clone)]
pub struct Store {
    connections: Arc<Connections>,
    /// The same database as the console logs in; `None`: as we do.
    console: Option<Arc<Servers>>,
    shards: Arc<Shards>,
    growth: Arc<statistics::Growth>,
    client_cache: Arc<ClientCache>,
    news: Arc<feed::News>,
    /// Publications of which orders were imported, as far as this process has seen.
    imported: Arc<RwLock<HashSet<String>>>,
    /// How long we wait for a statement. PostgreSQL ends it sooner; where we do not even hear of that, the connection is dead.
    patience: Duration,
    /// PostgreSQL's own; zero: none.
    lock_timeout: Duration,
}

impl Store {
    /// Makes the pool; connects lazily, so that a database that is away at the start is no reason to stay down.
    #[must_use]
    pub fn new(servers: impl Into<Servers>, settings: &config::Database) -> Self {
        let servers = sessions(servers.into(), settings);
        let pool = PgPoolOptions::new().max_connections(settings.connections);
        // One is left to what goes on beside the batches.
        let for_batches = settings.connections.saturating_sub(1).max(1) as usize;
        let shards = Shards::new(servers.clone(), pool.clone(), for_batches);
        Self {
            connections: Arc::new(Connections::new(pool, servers, for_batches)),
            console: None,
            shards: Arc::new(shards),
            growth: Arc::default(),
            client_cache: Arc::new(ClientCache::new(settings.client_cache_bytes)),
            news: Arc::default(),
            imported: Arc::default(),
            patience: settings.statement_timeout + GRACE,
            lock_timeout: settings.lock_timeout,
        }
    }

    /// Has the console log in there, with a role of its own.
    #[must_use]
    pub fn with_console(mut self, servers: Option<Servers>, settings: &config::Database) -> Self {
        self.console = servers.map(|servers| Arc::new(sessions(servers, settings)));
        self
    }

    /// A connection for one statement, to be given back by [`Taken::done`] with what came of it.
    async fn connection(&self) -> Result<Taken, Error> {
        self.connections.take().await
    }

    /// Waits for a statement, and not for ever where the server has fallen silent.
    async fn in_time<T>(
        &self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        timeout(self.patience, statement)
            .await
            .unwrap_or_else(|_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    /// Waits for a statement likewise, and says what its error means. A [`Taken`] connection is done with by [`Taken::done`] instead,
    /// which may have to close it.
    async fn answer<T>(
        &self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Error> {
        self.in_time(statement).await.map_err(Error::of_statement)
    }

    /// Changes whenever what was read before may be of a history of the database that is gone: a connection broke, or leads
    /// to another server or another life of it. Asked before a reading, it is compared when that is written upon.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where nobody says where the publication's rows are.
    pub async fn history(&self, publication: &str) -> Result<u64, Error> {
        Ok(self.locate(publication).await?.history())
    }

    pub async fn close(&self) {
        self.shards.close().await;
        self.connections.close().await;
    }

    /// Connections of batches: at work, idle, and the most there may be.
    #[must_use]
    pub fn connections(&self) -> (usize, usize, usize) {
        let (busy, idle, most) = self.connections.counts();
        let workers = self.shards.counts();
        (busy + workers.0, idle + workers.1, most + workers.2)
    }

    /// The pool, for commands that work outside the intake.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.connections.pool()
    }
}
