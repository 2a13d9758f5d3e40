//! Whether orders could be stored now.

use sqlx::Row;

use super::{Error, Store};
use crate::database;

/// A database that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Good,
    /// It takes no writes, as a standby does.
    ReadOnly,
    /// Its schema is older than this program's, as after a restore.
    Outdated {
        applied: i64,
        known: i64,
    },
}

impl Store {
    /// Asks the database, by a connection that batches do not use. A schema that is newer than ours is no fault: while an
    /// update goes round, one instance is always first.
    pub async fn health(&self) -> Result<Health, Error> {
        let asked = match self.ask().await {
            // A connection that had nothing to do for a while, and broke meanwhile; the next is a fresh one.
            Err(sqlx::Error::Io(_)) => self.ask().await,
            asked => asked,
        };
        let (writable, applied) = asked.map_err(Error::Unavailable)?;
        let known = database::last_migration();
        Ok(match writable {
            false => Health::ReadOnly,
            true if applied < known => Health::Outdated { applied, known },
            true => Health::Good,
        })
    }

    /// Whether it takes writes, and its last migration.
    async fn ask(&self) -> Result<(bool, i64), sqlx::Error> {
        // Nothing of our schema that the compiler could check.
        let asked = sqlx::query(
            "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' AS writable,
                    coalesce((SELECT max(version) FROM _sqlx_migrations WHERE success), 0) AS applied",
        )
        .fetch_one(self.pool());
        let row = self.in_time(asked).await?;
        Ok((row.try_get("writable")?, row.try_get("applied")?))
    }
}
