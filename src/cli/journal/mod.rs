//! `aqua-orders journal …`: what came in, what was rejected or accepted with remarks, and why, what became of an order; a kept
//! order corrected and sent again, by the same way as over HTTP.

mod history;
mod list;
mod resubmit;
mod search;
mod show;
mod shown;

use clap::Subcommand;

use self::search::{How, Search};
use super::{CommandError, order::Which, publication, with_store};
use crate::config::Config;

/// Looks into the journal, or sends a kept order again.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Batches, the newest first
    Batches(Search),
    /// Rejected orders and their faults, the newest first
    Rejected(Search),
    /// Accepted orders of which a value was left out, rounded or shortened, and their warnings, the newest first
    Remarks(Search),
    /// One batch, with its rejected orders and those with remarks as they came in
    Show {
        /// A batch's id, or the `X-Request-Id` of its response
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// What became of one order: every attempt, and what changed from what to what
    Order {
        /// Which order
        #[command(flatten)]
        which: Which,
        /// JSON instead of a table, an object a line
        #[arg(long)]
        json: bool,
    },
    /// Sends a rejected order, or one with remarks, again, as if it had just come in
    Resubmit {
        /// The batch's id or its `X-Request-Id`, for the one order of it that was rejected, or else the one with remarks; where
        /// there are several, ID/PLACE as `rejected` and `remarks` show it
        id: String,
        /// Opens it in $VISUAL or $EDITOR first
        #[arg(long)]
        edit: bool,
        /// Also where the order or its client has changed since: what came later is overwritten
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        how: How,
    },
}

pub(super) async fn run(command: &Command, config: &Config) -> Result<(), CommandError> {
    let mut rejected_again = false;
    with_store(config, async |store| match command {
        Command::Batches(search) => list::batches(search, config, &store).await,
        Command::Rejected(search) => list::orders(search, true, config, &store).await,
        Command::Remarks(search) => list::orders(search, false, config, &store).await,
        Command::Show { id, how } => show::show(id, how, config, &store).await,
        Command::Order { which, json } => {
            let publication = publication(config, which.publication.as_deref())?;
            history::history(which, *json, publication, &store).await
        }
        Command::Resubmit {
            id,
            edit,
            force,
            how,
        } => {
            let (said, accepted) =
                resubmit::resubmit(id, *edit, *force, how, config, &store).await?;
            rejected_again = !accepted;
            Ok(said)
        }
    })
    .await?;
    if rejected_again {
        return Err("it is rejected again, and in the journal as a new entry".into());
    }
    Ok(())
}
