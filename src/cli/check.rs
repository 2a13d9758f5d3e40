//! `check`: could the service run? The exit code says. Nothing is changed.

use std::time::Duration;

use super::{CommandError, no_database, on_database, say};
use crate::{
    config::{Config, Database},
    database::{self, State, WorkerState, binaries},
    http::listener::tls::Tls,
    store::{Health, Store, session_settings},
};

/// How long a database may take to answer: a health check must not hang.
const PATIENCE: Duration = Duration::from_secs(5);
/// PostgreSQL 13, as `server_version_num` has it.
const OLDEST: i32 = 130_000;

pub(super) async fn run(config: &Config) -> Result<(), CommandError> {
    say(format_args!(
        "settings: {} is right, {} publication(s)",
        config.path.display(),
        config.publications.len()
    ));
    for files in [&config.tls, &config.operator.tls].into_iter().flatten() {
        Tls::open(files).map_err(|error| error.to_string())?;
        say(format_args!("tls: the certificate and its key can be used"));
    }
    let settings = &config.database;
    if settings.url.is_none() && !database::has_private_cluster(settings) {
        let found = binaries::find(None).map_err(|error| error.to_string())?;
        say(format_args!(
            "database: the private cluster is made in {} at the first start, with PostgreSQL {} from {}",
            settings.data_dir.display(),
            found.major,
            found.folder.display()
        ));
        return Ok(());
    }
    let state = database_state(config).await?;
    say(format_args!(
        "database: PostgreSQL {} answers",
        state.version
    ));
    let mut faults = faults(&state, settings);
    if faults.is_empty() && state.pending == 0 && !state.workers.is_empty() {
        faults = on_database(config, PATIENCE, async |servers| {
            let store = Store::new(servers, &config.database);
            let unreadable = unreadable(&store, config).await;
            store.close().await;
            Ok(unreadable)
        })
        .await?;
    }
    if faults.is_empty() && state.pending == 0 {
        let console = console(config).await;
        match console {
            Ok(said) => said.into_iter().for_each(say),
            Err(fault) => faults.push(fault),
        }
    }
    match faults.as_slice() {
        [] => {
            say(format_args!(
                "schema: {}",
                if state.pending == 0 {
                    "current"
                } else {
                    "the next start brings it up to date"
                }
            ));
            Ok(())
        }
        faults => Err(faults.join("\n")),
    }
}

/// Looks at the console's own login, where the settings name one: what to say of it, or what is wrong.
pub(super) async fn console(config: &Config) -> Result<Option<String>, CommandError> {
    let servers = database::console_servers(&config.operator).map_err(no_database)?;
    let Some(mut console) = servers else {
        return Ok(None);
    };
    on_database(config, PATIENCE, async |servers| {
        console.put_primary_first(PATIENCE).await;
        let (options, wanted) = (console.first(), session_settings(&config.database));
        let role = options.get_username();
        let lacks_rights = database::console_lacks_rights(servers.first(), role, PATIENCE).await;
        let lacks_rights = lacks_rights.map_err(no_database)?;
        match database::log_in_as_console(options, &wanted, PATIENCE).await {
            // As long as it was given none, it finds nothing.
            Err(database::Error::ConsoleElsewhere { .. }) if lacks_rights => {}
            Err(error) => return Err(no_database(error)),
            Ok(_) => {}
        }
        let rights = if lacks_rights {
            "gets its rights at the next start"
        } else {
            "has its rights"
        };
        Ok(format!("console: its role {role} {rights}"))
    })
    .await
    .map(Some)
}

/// Reads as the service does before it stores, at each worker of a Citus cluster; says where it fails.
pub(super) async fn unreadable(store: &Store, config: &Config) -> Vec<String> {
    match store.health(&config.publications).await {
        Err(error) => vec![format!("reading fails: {}", error.in_full())],
        Ok(Health::Good(workers)) => {
            let failed = workers.into_iter().filter_map(|worker| {
                let why = worker.failure?;
                Some(format!("reading at worker {} fails: {why}", worker.name))
            });
            failed.collect()
        }
        // Told of without it.
        Ok(Health::ReadOnly | Health::Outdated { .. }) => Vec::new(),
    }
}

/// Looks at the configured database, running the private cluster for that moment if nobody else does.
pub(super) async fn database_state(config: &Config) -> Result<State, CommandError> {
    on_database(config, PATIENCE, async |servers| {
        let state = database::state(servers.first(), PATIENCE).await;
        state.map_err(no_database)
    })
    .await
}

/// What keeps the service from working on this database.
pub(super) fn faults(state: &State, settings: &Database) -> Vec<String> {
    let mut faults = Vec::new();
    if state.version_number < OLDEST {
        faults.push(format!(
            "PostgreSQL {} is too old: 13 or newer is needed",
            state.version
        ));
    }
    if state.encoding != "UTF8" {
        faults.push(format!(
            "the database's encoding is {}: make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
            state.encoding
        ));
    }
    if !state.writable {
        faults.push(
            "the database is read-only (a standby?): name the primary in DATABASE_URL".into(),
        );
    }
    if !state.not_durable.is_empty() && !settings.may_lose_orders {
        faults.push(format!(
            "{}: ALTER SYSTEM SET {} = on, then restart PostgreSQL; or, where nothing is at stake, `may_lose_orders = true` \
             in [database]",
            not_durable(&state.not_durable),
            state.not_durable.join(" = on, and ")
        ));
    }
    for WorkerState { name, not_durable } in &state.workers {
        match not_durable {
            Err(why) => faults.push(format!(
                "worker {name} does not answer, and its publications get 503: {why}"
            )),
            Ok(settings_off) if !settings_off.is_empty() && !settings.may_lose_orders => faults
                .push(format!(
                    "worker {name}: {}: ALTER SYSTEM SET {} = on there, then restart it",
                    self::not_durable(settings_off),
                    settings_off.join(" = on, and ")
                )),
            Ok(_) => {}
        }
    }
    faults
}

/// What it means that a server is not durable.
pub(super) fn not_durable(settings_off: &[String]) -> String {
    format!(
        "{} = off: an order that was answered may be lost in a power cut",
        settings_off.join(", ")
    )
}
