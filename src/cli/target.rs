//! `aqua-orders target status|resend|pause|resume`

use std::{fmt::Write as _, time::Duration};

use clap::{Args, Subcommand};

use super::{
    CommandError, because,
    order::{Which as WhichOrder, find_any},
    publication,
    text::{Table, clean},
    with_store,
};
use crate::{
    config::{Config, Publication, Target},
    order::datetime,
    store::{
        Error, Store,
        targets::{self, COUNTED, Look, Overview, Which},
    },
};

/// Orders and requests that `status` lists of a target.
const LISTED: i64 = 20;

/// Sees how targets stand, and has orders sent again.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Shows how far each target is, what fails, which orders it refused, and the last requests
    Status {
        /// A target's name; all of them without it
        name: Option<String>,
        /// A publication's name or alias; all of them without it
        #[arg(long, value_name = "NAME")]
        publication: Option<String>,
    },
    /// Sends orders again at once: those named, or those that were refused
    Resend {
        #[command(flatten)]
        of: Of,
        /// The sender's ids or our numbers of orders
        #[arg(required_unless_present_any = ["dead", "refused"])]
        orders: Vec<String>,
        /// Those that were refused to the last try
        #[arg(long, conflicts_with = "orders")]
        dead: bool,
        /// Those that were refused, dead or not
        #[arg(long, conflicts_with_all = ["orders", "dead"])]
        refused: bool,
    },
    /// Sends nothing to a target until `resume`; what changes meanwhile is sent then, each order once
    Pause {
        #[command(flatten)]
        of: Of,
    },
    /// Goes on sending to a target, and does not wait out a pause after failures
    Resume {
        #[command(flatten)]
        of: Of,
    },
}

/// Which target.
#[derive(Debug, Clone, Args)]
pub(super) struct Of {
    /// The target's name
    target: String,
    /// A publication's name or alias; may be left out where only one publication has a target of that name
    #[arg(long, value_name = "NAME")]
    publication: Option<String>,
}

pub(super) async fn run(command: &Command, config: &Config) -> Result<(), CommandError> {
    with_store(config, async |store| match command {
        Command::Status { name, publication } => {
            status(name.as_deref(), publication.as_deref(), config, &store).await
        }
        Command::Resend {
            of,
            orders,
            dead,
            refused: _,
        } => resend(of, orders, *dead, config, &store).await,
        Command::Pause { of } => pause(of, true, config, &store).await,
        Command::Resume { of } => pause(of, false, config, &store).await,
    })
    .await
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn away(error: Error) -> CommandError {
    because("the database cannot be used", &error)
}

fn key<'a>(publication: &'a Publication, target: &'a Target) -> targets::Target<'a> {
    targets::Target {
        publication: &publication.name,
        name: &target.name,
        since: target.since,
    }
}

/// All targets of the settings, or those of that publication.
fn all<'c>(
    config: &'c Config,
    name: Option<&str>,
) -> Result<Vec<(&'c Publication, &'c Target)>, CommandError> {
    let publications: Vec<&Publication> = match name {
        Some(_) => vec![publication(config, name)?],
        None => config.publications.iter().collect(),
    };
    let targets = publications.into_iter().flat_map(|publication| {
        let targets = publication.targets.iter();
        targets.map(move |target| (publication, target))
    });
    Ok(targets.collect())
}

fn find<'c>(config: &'c Config, of: &Of) -> Result<(&'c Publication, &'c Target), CommandError> {
    let all = all(config, of.publication.as_deref())?;
    let found = all.iter().filter(|(_, target)| target.name == of.target);
    match found.copied().collect::<Vec<_>>()[..] {
        [one] => Ok(one),
        [] => {
            let names: Vec<&str> = all.iter().map(|(_, target)| target.name.as_str()).collect();
            Err(match names[..] {
                [] => "the settings have no target: write [[publication.target]]".into(),
                _ => format!(
                    "there is no target {}: there is {}",
                    clean(&of.target),
                    names.join(", ")
                ),
            })
        }
        _ => Err(format!(
            "several publications have a target {}: say which with --publication",
            clean(&of.target)
        )),
    }
}

async fn pause(
    of: &Of,
    paused: bool,
    config: &Config,
    store: &Store,
) -> Result<String, CommandError> {
    let (publication, target) = find(config, of)?;
    let done = store.pause_target(key(publication, target), paused).await;
    done.map_err(away)?;
    let how = if paused {
        "is paused"
    } else {
        "is sent to again"
    };
    Ok(format!(
        "target {} of {} {how}\n",
        target.name, publication.name
    ))
}

async fn resend(
    of: &Of,
    orders: &[String],
    dead: bool,
    config: &Config,
    store: &Store,
) -> Result<String, CommandError> {
    let (publication, target) = find(config, of)?;
    let mut numbers = Vec::new();
    for id in orders {
        let which = WhichOrder {
            id: id.clone(),
            publication: None,
            by: None,
        };
        let found = find_any(&which, publication, store).await?;
        let found =
            found.ok_or_else(|| format!("{} has no order {}", publication.name, clean(id)))?;
        numbers.push(found.number);
    }
    let which = match (&numbers[..], dead) {
        ([], true) => Which::Dead,
        ([], false) => Which::All,
        (numbers, _) => Which::Numbers(numbers),
    };
    let resent = store.resend(key(publication, target), which, None).await;
    let resent = resent.map_err(away)?;
    Ok(format!(
        "{resent} order(s) are sent to {} of {} again\n",
        target.name, publication.name
    ))
}

async fn status(
    name: Option<&str>,
    publication: Option<&str>,
    config: &Config,
    store: &Store,
) -> Result<String, CommandError> {
    let mut all = all(config, publication)?;
    if let Some(name) = name {
        all.retain(|(_, target)| target.name == name);
    }
    if all.is_empty() {
        return Err(match name {
            Some(name) => format!("there is no target {}", clean(name)),
            None => "the settings have no target: write [[publication.target]]".into(),
        });
    }
    let mut text = String::new();
    for (publication, target) in all {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&of_one(publication, target, store).await.map_err(away)?);
    }
    Ok(text)
}

async fn of_one(
    publication: &Publication,
    target: &Target,
    store: &Store,
) -> Result<String, Error> {
    let key = key(publication, target);
    let look = store
        .look_at_target(key, target.takes.as_slice().into())
        .await?;
    let overview = store.target_overview(key).await?;
    let local = |moment| datetime::print(moment, publication.rules.timezone);
    let mut text = format!(
        "{} of {} ({}): {}\n",
        target.name,
        publication.name,
        target.protocol.as_str(),
        target.url
    );
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<12} {value}");
    };
    if let Some(overview) = &overview {
        line("state", state(overview, local));
    }
    line("not yet sent", not_yet_sent(&look));
    line(
        "refused",
        format!("{} tried again, {} dead", look.parked, look.dead),
    );
    let delivered = overview.as_ref().and_then(|overview| overview.delivered_at);
    line("last taken", delivered.map_or("never".into(), local));
    let deliveries = store.target_deliveries(key, LISTED).await?;
    if !deliveries.is_empty() {
        let mut table = Table::new(&["order", "sender's id", "refusals", "next try", "why"]);
        for delivery in deliveries {
            table.row([
                delivery.order_number.to_string(),
                delivery.sender_id,
                delivery.refusals.to_string(),
                delivery.next_try_at.map_or("dead".into(), local),
                delivery.error.unwrap_or_default(),
            ]);
        }
        text.push('\n');
        text.push_str(&table.print());
    }
    let attempts = store.target_attempts(key, LISTED).await?;
    if !attempts.is_empty() {
        let mut table = Table::new(&[
            "request",
            "ms",
            "status",
            "orders",
            "taken",
            "refused",
            "what failed",
        ]);
        for attempt in attempts {
            let status = attempt.status.map(|status| status.to_string());
            table.row([
                local(attempt.began_at),
                attempt.milliseconds.to_string(),
                status.unwrap_or("-".into()),
                attempt.orders.to_string(),
                attempt.taken.to_string(),
                attempt.refused.to_string(),
                attempt.error.unwrap_or_default(),
            ]);
        }
        text.push('\n');
        text.push_str(&table.print());
    }
    Ok(text)
}

fn state(overview: &Overview, local: impl Fn(chrono::DateTime<chrono::Utc>) -> String) -> String {
    let error = overview.error.as_deref().unwrap_or_default();
    if overview.paused {
        return "paused: `aqua-orders target resume` goes on".into();
    }
    let Some(since) = overview.failing_since else {
        return if overview.is_leased { "sends" } else { "works" }.into();
    };
    let what = if overview.refuses_us {
        "refuses us (look at user, url and secret_file, which is read at each try)"
    } else {
        "fails"
    };
    format!(
        "{what} since {}, {} time(s) in a row: {}; next try at {}",
        local(since),
        overview.failures,
        clean(error),
        local(overview.next_try_at),
    )
}

fn not_yet_sent(look: &Look) -> String {
    if look.lag_orders == 0 {
        return "nothing".into();
    }
    let more = if look.lag_orders >= COUNTED {
        " or more"
    } else {
        ""
    };
    let lag = Duration::from_secs(look.lag.as_secs());
    format!(
        "{}{more} order(s), the oldest changed {lag:?} ago",
        look.lag_orders
    )
}
