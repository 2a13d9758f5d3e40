//! sqlx lives here and nowhere else; set-based SQL only, and every statement names exactly one publication.
//!
//! A batch costs two round trips whatever its size: [`Store::read`] and [`Store::write`]. Neither opens a transaction
//! by hand: each statement is its own, so no connection can be handed on with one left open.

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub mod error;
pub mod numbers;
mod read;
mod settle;
pub mod write;

pub use error::Error;
pub use write::{BatchRow, RejectedRow, Write};

use crate::config;

/// The database as the intake sees it.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// Makes the pool; connects lazily, so that a database that is away at the start is no reason to stay down.
    #[must_use]
    pub fn new(options: PgConnectOptions, settings: &config::Database) -> Self {
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        let options = options.application_name("aqua-orders").options([
            // What was given up on must never land after its answer (contract §1).
            (
                "statement_timeout",
                milliseconds(settings.statement_timeout),
            ),
            ("lock_timeout", milliseconds(settings.lock_timeout)),
            (
                "idle_in_transaction_session_timeout",
                milliseconds(settings.statement_timeout),
            ),
            // The hot statements look rows up by key, a few or a few thousand. One plan, made once for each connection,
            // that walks the indexes: it never flips with statistics, nor does it need any.
            ("plan_cache_mode", "force_generic_plan".into()),
            ("enable_seqscan", "off".into()),
            ("enable_hashjoin", "off".into()),
            ("enable_mergejoin", "off".into()),
            ("jit", "off".into()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(Duration::from_secs(3))
            // A ping before each use would double the round trips; a dead connection shows itself, and is dealt with.
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Self { pool }
    }

    /// The pool, for commands that work outside the intake.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}
