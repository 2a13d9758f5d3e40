//! Whether orders could be stored now.

use sqlx::Row;

use super::{Error, Store};
use crate::{config::Publication, database};

/// A database that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It takes orders, of a Citus cluster at least one of the workers.
    Good(Vec<Worker>),
    /// It takes no writes, as a standby does.
    ReadOnly,
    /// Its schema is older than this program's, as after a restore.
    Outdated { applied: i64, known: i64 },
}

/// A worker of a Citus cluster that has publications of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its host and port, as Citus has them.
    pub name: String,
    /// Why a batch could not be read there; `None`: it could.
    pub failure: Option<String>,
}

impl Store {
    /// Asks the database, by a connection that batches do not use; on Citus it reads at each worker as a batch does. A schema that
    /// is newer than ours is no fault: while an update goes round, one instance is always first.
    ///
    /// # Errors
    /// It does not answer, or nothing can be read anywhere.
    pub async fn health(&self, publications: &[Publication]) -> Result<Health, Error> {
        let asked = match self.ask().await {
            // A connection that had nothing to do for a while, and broke meanwhile; the next is a fresh one.
            Err(sqlx::Error::Io(_)) => self.ask().await,
            asked => asked,
        };
        let (writable, applied) = asked.map_err(Error::Unavailable)?;
        let known = database::last_migration();
        if !writable {
            return Ok(Health::ReadOnly);
        }
        if applied < known {
            return Ok(Health::Outdated { applied, known });
        }
        Ok(Health::Good(
            self.try_reading_everywhere(publications).await?,
        ))
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

    /// Reads once at each worker of a Citus cluster that has publications.
    async fn try_reading_everywhere(
        &self,
        publications: &[Publication],
    ) -> Result<Vec<Worker>, Error> {
        if !self.connections.is_citus().await? {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = publications.iter().map(|own| &*own.name).collect();
        // One publication for each worker. Citus' own catalogue: nothing for the compiler to check against.
        let of_workers = sqlx::query_scalar(
            "SELECT DISTINCT ON (l.groupid) k.name
             FROM unnest($1::text[]) AS k (name)
             JOIN pg_dist_placement l ON l.shardid = get_shard_id_for_distribution_column('orders', k.name)
             ORDER BY l.groupid, k.name",
        )
        .bind(&names)
        .fetch_all(self.pool());
        let of_workers: Vec<String> = self.in_time(of_workers).await.map_err(Error::Unavailable)?;
        let mut workers = Vec::with_capacity(of_workers.len());
        let mut last = None;
        for publication in &of_workers {
            let name = self.locate(publication).await?.name().to_owned();
            let failure = self.try_reading(publication).await.err();
            workers.push(Worker {
                name,
                failure: failure.as_ref().map(Error::in_full),
            });
            last = failure;
        }
        match last {
            Some(error) if workers.iter().all(|worker| worker.failure.is_some()) => Err(error),
            _ => Ok(workers),
        }
    }
}
