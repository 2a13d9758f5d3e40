//! Where PostgreSQL comes from: the server that `DATABASE_URL` names, or the private cluster.

use std::time::{Duration, Instant};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::{sleep, timeout};

pub use self::{
    account::Account,
    console_role::{console_lacks_rights, console_servers, grant_to_console, log_in_as_console},
    disk::{Disk, DiskWatch, Space},
    error::Error,
    migrations::{last_migration, migrate},
    private::PrivateCluster,
    servers::{Servers, place, to_worker},
    state::{State, WorkerState, state},
};
use crate::config;

mod account;
pub mod binaries;
mod console_role;
mod disk;
mod error;
mod folder;
mod migrations;
mod private;
mod servers;
mod state;

/// An opened database.
#[derive(Debug)]
pub struct Opened {
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

/// Makes the private cluster's folder ready, as root, for the account that PostgreSQL and we are to run as.
pub fn prepare(settings: &config::Database) -> Result<Account, Error> {
    PrivateCluster::prepare(settings)
}

/// Opens the database for a command that may be given while the service runs (`import`, `order`, `check`): uses the
/// private cluster of the running service, and runs it itself only when nobody else does. Makes none: a command without the
/// service's environment would answer from an empty database.
///
/// # Errors
/// As [`open`], but never [`Error::InUse`]; [`Error::NoCluster`] where there is none.
pub async fn open_beside(settings: &config::Database) -> Result<Opened, Error> {
    if settings.url.is_none() && folder::has_none(&settings.data_dir) {
        let data_dir = std::path::absolute(&settings.data_dir);
        return Err(Error::NoCluster {
            data_dir: data_dir.unwrap_or_else(|_| settings.data_dir.clone()),
        });
    }
    match open(settings).await {
        Err(Error::InUse { .. }) => Ok(Opened {
            servers: private::beside_running(settings).await?.into(),
            private: None,
        }),
        opened => opened,
    }
}

/// The session's settings that did not arrive, as (name, what it should be): a pooler on the way dropped them.
///
/// # Errors
/// [`Error::NoAnswer`] and [`Error::Refused`] by the server, [`Error::NotPrepared`] by a pooler.
pub async fn dropped_settings(
    options: &PgConnectOptions,
    wanted: &[(&'static str, String)],
    patience: Duration,
) -> Result<Vec<(&'static str, String)>, Error> {
    let mut connection = connect(options, patience).await?;
    let mut dropped = Vec::new();
    // One by one: a pooler that loses prepared statements between its sessions shows it when one is used again and again.
    for (name, value) in wanted {
        let set: String = sqlx::query_scalar("SELECT setting FROM pg_settings WHERE name = $1")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .map_err(Error::of_pooler)?;
        if set != *value {
            dropped.push((*name, value.clone()));
        }
    }
    connection.close().await?;
    Ok(dropped)
}

/// Brings an existing schema up to this program's, for a command. Makes none in a database that no service has used.
///
/// # Errors
/// [`Error::NoTables`], else as [`migrate`].
pub async fn upgrade(options: &PgConnectOptions, patience: Duration) -> Result<(), Error> {
    let mut connection = connect(options, patience).await?;
    let is_used: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(migrations::TABLE)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    if !is_used {
        return Err(Error::NoTables {
            database: options.get_database().unwrap_or_default().to_owned(),
            place: place(options),
        });
    }
    migrate(options, patience).await
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
