//! `aqua-orders numbers skip --by N [--publication NAME]`

use std::fmt::Write as _;

use clap::Subcommand;

use super::{CommandError, because, publication, with_store};
use crate::{
    config::{Config, Publication},
    store::Store,
};

/// Moves the counters of numbers.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Leaves the next numbers out: of orders, clients, addresses and products
    ///
    /// After the database was put back to an earlier state, numbers given since then are known to senders and 1C, and not to
    /// the database: it would give them again, to others. deploy/restore.sh and deploy/recover.sh see to it themselves; this
    /// is for every other way. Stop all instances of the service first: each has numbers in reserve.
    Skip {
        /// How many: more than can have been given since then
        #[arg(long, value_name = "N", default_value_t = 1_000_000,
              value_parser = clap::value_parser!(i64).range(1..=1_000_000_000))]
        by: i64,
        /// A publication's name or alias; all of them unless given
        #[arg(long, value_name = "NAME")]
        publication: Option<String>,
    },
}

pub(super) async fn run(command: &Command, config: &Config) -> Result<(), CommandError> {
    let Command::Skip {
        by,
        publication: name,
    } = command;
    let publications = match name {
        Some(_) => vec![publication(config, name.as_deref())?],
        None => config.publications.iter().collect(),
    };
    with_store(config, async |store| skip(&store, &publications, *by).await).await
}

async fn skip(
    store: &Store,
    publications: &[&Publication],
    by: i64,
) -> Result<String, CommandError> {
    let mut said = String::new();
    for publication in publications {
        let moved = store.skip(publication, by).await;
        let moved = moved.map_err(|error| because(&publication.name, &error))?;
        let next: Vec<String> = moved
            .iter()
            .map(|(kind, next)| format!("{} {next}", kind.as_str()))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            said,
            "{}: the next are {}",
            publication.name,
            next.join(", ")
        );
    }
    Ok(said)
}
