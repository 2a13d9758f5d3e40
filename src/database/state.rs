//! What a database is like, for `check` and `doctor`. Nothing is changed by looking.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, Row, migrate::Migrate, postgres::PgConnectOptions,
};

use super::{
    Error, connect, last_migration,
    migrations::{MIGRATIONS, TABLE},
    servers::to_worker,
};

/// How long a worker may take to answer.
const OF_WORKER: Duration = Duration::from_secs(2);

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
    /// The workers of a Citus cluster.
    pub workers: Vec<WorkerState>,
    /// Migrations that this program would still apply.
    pub pending: usize,
}

/// A worker of a Citus cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerState {
    /// Its host and port, as Citus has them.
    pub name: String,
    /// As [`State::not_durable`]; or why it does not answer.
    pub not_durable: Result<Vec<String>, String>,
}

/// Settings without which an answered order may be lost, and that are off.
const NOT_DURABLE: &str = "array_remove(ARRAY[
    CASE WHEN current_setting('fsync') = 'off' THEN 'fsync' END,
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN 'synchronous_commit' END,
    CASE WHEN current_setting('full_page_writes') = 'off' THEN 'full_page_writes' END
], NULL)";

/// Looks at a database, waiting for it at most `patience`.
///
/// # Errors
/// [`Error::NoAnswer`] and [`Error::Refused`] by the server, [`Error::Newer`] and [`Error::Altered`] by the schema,
/// [`Error::SocketToWorker`] by a Citus cluster.
pub async fn state(options: &PgConnectOptions, patience: Duration) -> Result<State, Error> {
    let mut connection = connect(options, patience).await?;
    // Settings of the server, not of our schema: nothing for the compiler to check against.
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT current_setting('server_version') AS version,
                current_setting('server_version_num')::int AS version_number,
                current_setting('server_encoding') AS encoding,
                {NOT_DURABLE} AS not_durable,
                NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' AS writable,
                to_regclass('_sqlx_migrations') IS NOT NULL AS has_migrations,
                to_regclass('pg_dist_node') IS NOT NULL AS has_citus"
    )))
    .fetch_one(&mut connection)
    .await?;
    let applied = if row.try_get("has_migrations")? {
        connection
            .list_applied_migrations(TABLE)
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
    let workers = if row.try_get("has_citus")? {
        workers(options, &mut connection).await?
    } else {
        Vec::new()
    };
    let state = State {
        version: row.try_get("version")?,
        version_number: row.try_get("version_number")?,
        encoding: row.try_get("encoding")?,
        not_durable: row.try_get("not_durable")?,
        writable: row.try_get("writable")?,
        workers,
        pending: MIGRATIONS.iter().count() - applied.len(),
    };
    connection.close().await?;
    Ok(state)
}

async fn workers(
    options: &PgConnectOptions,
    coordinator: &mut PgConnection,
) -> Result<Vec<WorkerState>, Error> {
    let rows = sqlx::query_as(
        "SELECT nodename, nodeport FROM pg_dist_node WHERE noderole = 'primary' AND isactive AND shouldhaveshards
         ORDER BY groupid",
    );
    let nodes: Vec<(String, i32)> = rows.fetch_all(coordinator).await?;
    let mut workers = Vec::with_capacity(nodes.len());
    for (host, port) in nodes {
        let options = to_worker(options, &host, u16::try_from(port).unwrap_or_default())?;
        let asked = async {
            let mut connection = connect(&options, OF_WORKER).await?;
            let sql = AssertSqlSafe(format!("SELECT {NOT_DURABLE}"));
            let not_durable = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok::<_, Error>(not_durable)
        };
        let not_durable = asked.await.map_err(|error| error.to_string());
        workers.push(WorkerState {
            name: format!("{host}:{port}"),
            not_durable,
        });
    }
    Ok(workers)
}
