//! sqlx lives here and nowhere else; set-based SQL only, and every statement names exactly one publication.
//!
//! A batch costs two round trips whatever its size: [`Store::read`] and [`Store::write`]. Neither opens a transaction
//! by hand: each statement is its own, so no connection can be handed on with one left open.

use std::{io, sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::time::timeout;

pub mod catalogue;
mod client_cache;
mod connection;
pub mod error;
pub mod feed;
mod health;
pub mod journal;
pub mod merged;
pub mod numbers;
pub mod operator;
mod read;
mod settle;
mod statistics;
pub mod targets;
pub mod write;

pub use error::Error;
pub use health::Health;
pub use write::{BatchRow, ChangeRow, KeptRow, Write};

use self::{
    client_cache::ClientCache,
    connection::{Connections, Taken},
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

/// How much longer we wait for a statement than PostgreSQL's own timeout.
const GRACE: Duration = Duration::from_secs(1);

/// The database as the intake sees it.
#[derive(Debug, Clone)]
pub struct Store {
    connections: Arc<Connections>,
    growth: Arc<statistics::Growth>,
    client_cache: Arc<ClientCache>,
    news: Arc<feed::News>,
    /// How long we wait for a statement. PostgreSQL ends it sooner; where we do not even hear of that, the connection is dead.
    patience: Duration,
    /// PostgreSQL's own; zero: none.
    lock_timeout: Duration,
}

impl Store {
    /// Makes the pool; connects lazily, so that a database that is away at the start is no reason to stay down.
    #[must_use]
    pub fn new(servers: impl Into<Servers>, settings: &config::Database) -> Self {
        let servers = servers.into().map(|options| {
            options
                .application_name("aqua-orders")
                .options(session_settings(settings))
        });
        let pool = PgPoolOptions::new().max_connections(settings.connections);
        // One is left to what goes on beside the batches.
        let for_batches = settings.connections.saturating_sub(1).max(1) as usize;
        Self {
            connections: Arc::new(Connections::new(pool, servers, for_batches)),
            growth: Arc::default(),
            client_cache: Arc::new(ClientCache::new(settings.client_cache_bytes)),
            news: Arc::default(),
            patience: settings.statement_timeout + GRACE,
            lock_timeout: settings.lock_timeout,
        }
    }

    /// A connection for one statement, to be handed to [`Store::done`] with what came of it.
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

    /// Gives a connection back, or closes it where it broke, and says what the statement's error means.
    fn done<T>(&self, connection: Taken, outcome: Result<T, sqlx::Error>) -> Result<T, Error> {
        let outcome = outcome.map_err(Error::of_statement);
        if outcome.as_ref().is_err_and(Error::is_connection_error) {
            self.connections.broke(connection);
        } else {
            self.connections.give_back(connection);
        }
        outcome
    }

    /// Changes whenever what was read before may be of a history of the database that is gone: a connection broke, or leads
    /// to another server or another life of it. Asked before a reading, it is compared when that is written upon.
    #[must_use]
    pub fn history(&self) -> u64 {
        self.connections.history()
    }

    pub async fn close(&self) {
        self.connections.close().await;
    }

    /// Connections of batches: at work, idle, and the most there may be.
    #[must_use]
    pub fn connections(&self) -> (usize, usize, usize) {
        self.connections.counts()
    }

    /// The pool, for commands that work outside the intake.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.connections.pool()
    }
}
