//! What a database is like, for `check` and `doctor`. Nothing is changed by looking.

use std::time::Duration;

use sqlx::{Connection, Row, migrate::Migrate, postgres::PgConnectOptions};

use super::{Error, MIGRATIONS, connect, last_migration};

/// A database that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// As `SHOW server_version` has it.
    pub version: String,
    /// The same as a number: 150004 is 15.4.
    pub version_number: i32,
    pub encoding: String,
    /// Settings without which an answered order may be lost, and that are off: `fsync`, `synchronous_commit`,
    /// `full_page_writes`.
    pub not_durable: Vec<String>,
    /// Whether it takes writes; a standby does not.
    pub writable: bool,
    /// Migrations that this program would still apply.
    pub pending: usize,
}

/// Looks at a database, waiting for it at most `patience`.
///
/// # Errors
/// [`Error::NoAnswer`] and [`Error::Refused`] by the server, [`Error::Newer`] and [`Error::Altered`] by the schema.
pub async fn state(options: &PgConnectOptions, patience: Duration) -> Result<State, Error> {
    let mut connection = connect(options, patience).await?;
    // Settings of the server, not of our schema: nothing for the compiler to check against.
    let row = sqlx::query(
        "SELECT current_setting('server_version') AS version,
                current_setting('server_version_num')::int AS version_number,
                current_setting('server_encoding') AS encoding,
                array_remove(ARRAY[
                    CASE WHEN current_setting('fsync') = 'off' THEN 'fsync' END,
                    CASE WHEN current_setting('synchronous_commit') = 'off' THEN 'synchronous_commit' END,
                    CASE WHEN current_setting('full_page_writes') = 'off' THEN 'full_page_writes' END
                ], NULL) AS not_durable,
                NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' AS writable,
                to_regclass('_sqlx_migrations') IS NOT NULL AS has_migrations",
    )
    .fetch_one(&mut connection)
    .await?;
    let applied = if row.try_get("has_migrations")? {
        connection
            .list_applied_migrations("_sqlx_migrations")
            .await
            .map_err(Error::Migration)?
    } else {
        Vec::new()
    };
    for migration in &applied {
        match MIGRATIONS
            .iter()
            .find(|own| own.version == migration.version)
        {
            Some(own) if own.checksum == migration.checksum => {}
            None if migration.version > last_migration() => {
                return Err(Error::Newer {
                    found: migration.version,
                    known: last_migration(),
                });
            }
            _ => return Err(Error::Altered(migration.version)),
        }
    }
    let state = State {
        version: row.try_get("version")?,
        version_number: row.try_get("version_number")?,
        encoding: row.try_get("encoding")?,
        not_durable: row.try_get("not_durable")?,
        writable: row.try_get("writable")?,
        pending: MIGRATIONS.iter().count() - applied.len(),
    };
    connection.close().await?;
    Ok(state)
}
