//! Where PostgreSQL comes from: the server that `DATABASE_URL` names, or the private cluster.

use std::time::{Duration, Instant};

use sqlx::{
    ConnectOptions, Connection, PgConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};
use tokio::time::{sleep, timeout};

pub use self::{
    account::Account,
    error::Error,
    private::PrivateCluster,
    servers::{Servers, place},
    state::{State, state},
};
use crate::config;

mod account;
pub mod binaries;
mod error;
mod folder;
mod private;
mod servers;
mod state;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// A way to the database.
#[derive(Debug)]
pub struct Opened {
    /// How to connect.
    pub servers: Servers,
    /// The private cluster, when we run it: to be kept as long as the database is needed, then stopped.
    pub private: Option<PrivateCluster>,
}

/// Opens the database for the service. With a URL it is only read, nothing is contacted; without one the private cluster
/// is made where it does not exist, started or taken over, and ready when this returns.
///
/// # Errors
/// [`Error::InUse`] when another service runs on the folder, and whatever else keeps PostgreSQL from starting.
pub async fn open(settings: &config::Database) -> Result<Opened, Error> {
    if let Some(url) = &settings.url {
        return Ok(Opened {
            servers: url.expose().parse()?,
            private: None,
        });
    }
    let cluster = PrivateCluster::start(settings).await?;
    Ok(Opened {
        servers: cluster.options().into(),
        private: Some(cluster),
    })
}

/// Opens the database for a command that may be given while the service runs (`import`, `order`, `check`): uses the
/// private cluster of the running service, and runs it itself only when nobody else does.
///
/// # Errors
/// As [`open`], but never [`Error::InUse`].
pub async fn open_beside(settings: &config::Database) -> Result<Opened, Error> {
    match open(settings).await {
        Err(Error::InUse { .. }) => Ok(Opened {
            servers: private::beside_running(settings).await?.into(),
            private: None,
        }),
        opened => opened,
    }
}

/// Brings the schema up to this program's. Waits for the server to answer, at most `patience`; then any number of
/// instances may do this at once: an advisory lock of the database's lets them through one by one.
///
/// # Errors
/// [`Error::NoAnswer`] and [`Error::Refused`] by the server, [`Error::Newer`], [`Error::Altered`] and
/// [`Error::Migration`] by the schema.
pub async fn migrate(options: &PgConnectOptions, patience: Duration) -> Result<(), Error> {
    // Without the notice that the migrations' own table exists already, which every start but the first would log.
    let quiet = options
        .clone()
        .options([("client_min_messages", "warning")]);
    let mut connection = connect(&quiet, patience).await?;
    let known = known();
    // On a connection of its own, closed on every path: that is what lets go of the lock after an error.
    let outcome = MIGRATIONS.run_direct(None, &mut connection, false).await;
    let closed = connection.close().await;
    match outcome {
        Ok(()) => Ok(closed?),
        Err(MigrateError::VersionMissing(found)) if found > known => {
            Err(Error::Newer { found, known })
        }
        Err(MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version)) => {
            Err(Error::Altered(version))
        }
        Err(error) => Err(Error::Migration(error)),
    }
}

/// The last migration that this program carries.
fn known() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or_default()
}

/// Whether the private cluster was made already.
#[must_use]
pub fn has_private_cluster(settings: &config::Database) -> bool {
    folder::major(&settings.data_dir).is_some()
}

/// Connects, trying again while the server is not there yet: service and server are often started together.
async fn connect(options: &PgConnectOptions, patience: Duration) -> Result<PgConnection, Error> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_secs(1));
        let error = match timeout(left, options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::PoolTimedOut,
        };
        if let sqlx::Error::Database(refusal) = &error
            && !matches!(refusal.code().as_deref(), Some(STARTING | TOO_MANY))
        {
            return Err(Error::Refused(error));
        }
        if Instant::now() >= deadline {
            return Err(Error::NoAnswer {
                waited: patience,
                source: error,
            });
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// `cannot_connect_now`: starting up, recovering or shutting down.
const STARTING: &str = "57P03";
/// `too_many_connections`
const TOO_MANY: &str = "53300";
