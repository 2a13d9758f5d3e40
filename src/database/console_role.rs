//! The console's role: it may do what the pages need (`console_role.sql`), and each start of the service sees to it.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use super::{Error, Servers, connect, dropped_settings, migrations::lock};
use crate::config;

/// The statements that a role's rights differ by.
const DIFFERING: &str = include_str!("console_role.sql");

/// Where the console logs in, if the settings name a login of its own.
///
/// # Errors
/// [`Error::Url`], of the console.
pub fn console_servers(settings: &config::Operator) -> Result<Option<Servers>, Error> {
    let url = settings.database_url.as_ref();
    let servers = url.map(|url| url.expose().parse()).transpose();
    servers.map_err(Error::of_console)
}

/// Gives a role of the console's own what the pages need, and takes from it what they do not. `owner`: how the tables' owner logs in.
///
/// # Errors
/// [`Error::NoConsoleRole`], and [`Error::ConsoleMayMore`] of one that may do more even so; else as any statement of the set-up.
pub async fn grant_to_console(
    owner: &PgConnectOptions,
    role: &str,
    patience: Duration,
) -> Result<(), Error> {
    let mut connection = connect(owner, patience).await?;
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    let count = put_right(&mut transaction, role).await?;
    transaction.commit().await?;
    connection.close().await?;
    if count > 0 {
        tracing::info!(
            role,
            statements = count,
            "the console's role has its rights"
        );
    }
    Ok(())
}

/// Whether [`grant_to_console`] would change something. Nothing is changed.
///
/// # Errors
/// As [`grant_to_console`].
pub async fn console_lacks_rights(
    owner: &PgConnectOptions,
    role: &str,
    patience: Duration,
) -> Result<bool, Error> {
    let mut connection = connect(owner, patience).await?;
    let mut transaction = connection.begin().await?;
    let count = put_right(&mut transaction, role).await?;
    transaction.rollback().await?;
    connection.close().await?;
    Ok(count > 0)
}

/// Logs in as the console does. Returns the settings of its sessions that a pooler on the way dropped.
///
/// # Errors
/// [`Error::Console`] where it is not let in, [`Error::ConsoleElsewhere`] where it finds nothing that it was granted.
pub async fn log_in_as_console(
    options: &PgConnectOptions,
    wanted: &[(&'static str, String)],
    patience: Duration,
) -> Result<Vec<(&'static str, String)>, Error> {
    let session = options.clone().options(wanted.iter().cloned());
    let tried = async {
        let dropped = dropped_settings(&session, wanted, patience).await?;
        let mut connection = connect(options, patience).await?;
        let has_rights: bool = sqlx::query_scalar(
            "SELECT coalesce(has_table_privilege(to_regclass('operator_session'), 'INSERT'), false)",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok((dropped, has_rights))
    };
    match tried.await.map_err(Error::of_console)? {
        (dropped, true) => Ok(dropped),
        (_, false) => Err(Error::ConsoleElsewhere {
            role: options.get_username().to_owned(),
        }),
    }
}

/// Says how many statements that took.
async fn put_right(transaction: &mut PgConnection, role: &str) -> Result<usize, Error> {
    let is_there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(role)
            .fetch_one(&mut *transaction)
            .await?;
    if !is_there {
        return Err(Error::NoConsoleRole {
            role: role.to_owned(),
        });
    }
    let mut count = 0;
    // Whoever loses a right to a whole table loses it to the columns that it was given by themselves: they are given back then.
    for _ in 0..2 {
        let differing = sqlx::query_scalar(DIFFERING).bind(role);
        let differing: Vec<String> = differing.fetch_all(&mut *transaction).await?;
        count += differing.len();
        for statement in differing {
            transaction.execute(AssertSqlSafe(statement)).await?;
        }
    }
    // A superuser, the tables' owner or a member of either; or somebody gave too much to everybody.
    let may_more: bool = sqlx::query_scalar(
        "SELECT coalesce(has_table_privilege($1::name, to_regclass('orders'), 'DELETE'), false)
             OR coalesce(has_table_privilege($1::name, to_regclass('number_counter'), 'SELECT'), false)",
    )
    .bind(role)
    .fetch_one(transaction)
    .await?;
    if may_more {
        return Err(Error::ConsoleMayMore {
            role: role.to_owned(),
        });
    }
    Ok(count)
}
