//! The command line: one file a command. Exit code 0: done; 1: not done, and the last line says why; 2: wrong use.

mod check;
mod client;
mod doctor;
mod hash_password;
mod import;
mod journal;
mod load;
mod mock;
mod new_token;
mod numbers;
mod openapi;
mod order;
mod root;
mod serve;
mod settings_schema;
mod target;
mod text;

use std::{fmt::Display, io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    config::{Config, Environment, Publication},
    database::{self, Servers},
    store::Store,
    telemetry,
};

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("AQUA_REVISION"), ")");

/// Takes orders in 1C's order-exchange protocol and stores them exactly once.
#[derive(Debug, Parser)]
#[command(name = "aqua-orders", version = VERSION, about, arg_required_else_help = true)]
struct Cli {
    /// The settings file; config/default.toml documents every setting
    #[arg(
        long,
        global = true,
        env = "AQUA_CONFIG",
        value_name = "FILE",
        default_value = "config/default.toml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve,
    /// Check the settings and the database; the exit code says whether the service could run
    Check,
    /// Drive a running service with made-up orders, and say how long it takes
    Load(load::Load),
    /// The service to try a sender on: nothing is kept, and faults come as wished
    Mock(mock::Mock),
    /// Say what is wrong with this set-up, and how to fix each problem
    Doctor,
    /// Read a password from the terminal or stdin and print its hash, for `password_hash` of a user in the settings
    HashPassword,
    /// Make a token for the import call and its hash, for `import_token_hashes` in the settings
    NewToken,
    /// Print what /openapi.json says: the description of the call, with the limits of the settings
    Openapi,
    /// Print the JSON Schema of the settings, for editors
    SettingsSchema,
    /// Set districts, products or clients as a file says; --help lists the columns
    Import(import::Import),
    /// Look into the journal: batches, rejected orders, what became of an order; send a rejected one again
    #[command(subcommand)]
    Journal(journal::Command),
    /// Leave numbers out after the database was put back to an earlier state
    #[command(subcommand)]
    Numbers(numbers::Command),
    /// Look at an order, or move its status on
    #[command(subcommand)]
    Order(order::Command),
    /// A client's data on request: show it, export it, erase it
    #[command(subcommand)]
    Client(client::Command),
    /// See how sending to 1C and the site goes; send orders again; pause a target
    #[command(subcommand)]
    Target(target::Command),
}

type CommandError = String;

/// An error and its causes, in one line.
fn because(what: impl Display, error: &dyn std::error::Error) -> CommandError {
    let mut text = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Every command with its options, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A reader that is gone does not make it worse.
            let failure = text::clean_lines(&failure);
            let _ = writeln!(std::io::stderr(), "aqua-orders: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), CommandError> {
    match &cli.command {
        Command::Doctor => return on_runtime(doctor::run(&cli.config)),
        Command::HashPassword => return hash_password::run(),
        Command::Mock(mock) => return mock::run(mock),
        Command::NewToken => return new_token::run(),
        Command::SettingsSchema => return settings_schema::run(),
        Command::Serve
        | Command::Check
        | Command::Load(_)
        | Command::Openapi
        | Command::Import(_)
        | Command::Journal(_)
        | Command::Numbers(_)
        | Command::Order(_)
        | Command::Client(_)
        | Command::Target(_) => {}
    }
    let config = Config::load(&cli.config, &Environment::of_process())
        .map_err(|error| format!("the settings are refused\n{error}"))?;
    telemetry::start(&config.log);
    match &cli.command {
        Command::Serve => {
            let sockets = serve::systemd::Sockets::handed_over()?;
            on_runtime(serve::run(config, sockets))
        }
        Command::Check => on_runtime(check::run(&config)),
        Command::Load(load) => on_one_thread(load::run(load, &config)),
        Command::Openapi => openapi::run(&config),
        Command::Import(import) => on_runtime(import::run(import, &config)),
        Command::Journal(command) => on_runtime(journal::run(command, &config)),
        Command::Numbers(command) => on_runtime(numbers::run(command, &config)),
        Command::Order(command) => on_runtime(order::run(command, &config)),
        Command::Client(command) => on_runtime(client::run(command, &config)),
        Command::Target(command) => on_runtime(target::run(command, &config)),
        Command::Doctor
        | Command::HashPassword
        | Command::Mock(_)
        | Command::NewToken
        | Command::SettingsSchema => Ok(()),
    }
}

/// Runs a command that must not take processors from a service beside it.
fn on_one_thread(
    command: impl Future<Output = Result<(), CommandError>>,
) -> Result<(), CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| because("cannot start", &error))?
        .block_on(command)
}

fn on_runtime(command: impl Future<Output = Result<(), CommandError>>) -> Result<(), CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| because("cannot start", &error))?
        .block_on(command)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn no_database(error: database::Error) -> CommandError {
    because("the database cannot be used", &error)
}

/// Runs `work` on the configured servers, whether or not a service runs beside it: a private cluster that nobody else
/// runs is started for it, and stopped afterwards.
async fn on_database<T>(
    config: &Config,
    patience: Duration,
    work: impl AsyncFnOnce(Servers) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let mut opened = database::open_beside(&config.database)
        .await
        .map_err(no_database)?;
    opened.servers.put_primary_first(patience).await;
    let done = work(opened.servers).await;
    if let Some(cluster) = opened.private {
        let stopped = cluster.stop().await;
        stopped.map_err(|error| because("the private cluster did not stop", &error))?;
    }
    done
}

/// Runs a command on what is stored; prints what it says.
async fn with_store(
    config: &Config,
    command: impl AsyncFnOnce(Store) -> Result<String, CommandError>,
) -> Result<(), CommandError> {
    let patience = config.database.start_timeout;
    let said = on_database(config, patience, async |servers| {
        database::upgrade(servers.first(), patience)
            .await
            .map_err(no_database)?;
        let store = Store::new(servers, &config.database);
        let said = command(store.clone()).await;
        store.close().await;
        said
    });
    print(&said.await?)
}

/// Prints what a command says, without anything that would steer a terminal. A reader that has seen enough (`| head`) is no
/// failure; a full disk is one.
fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = std::io::stdout();
    let printed = stdout
        .write_all(text::clean_lines(text).as_bytes())
        .and_then(|()| stdout.flush());
    match printed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(because("what was to be said cannot be written", &error))
        }
        _ => Ok(()),
    }
}

/// Prints a line of a command that says one thing after another, and goes on without a reader.
fn say(line: impl Display) {
    // What it has to say is also in its exit code.
    let _ = print(&format!("{line}\n"));
}

/// The publication of that name or alias; without a name the only one there is.
fn publication<'c>(
    config: &'c Config,
    name: Option<&str>,
) -> Result<&'c Publication, CommandError> {
    let names = || {
        let names = config.publications.iter().map(|known| known.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    match (name, &config.publications[..]) {
        (Some(name), _) => config
            .publication(name)
            .ok_or_else(|| format!("there is no publication {name}: there is {}", names())),
        (None, [only]) => Ok(only),
        (None, _) => Err(format!(
            "which publication? Give --publication with one of {}",
            names()
        )),
    }
}
