//! `aqua-orders client show|export|erase ID`: what the law of personal data lets a client ask for.

use std::{
    fmt::Write as _, fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt, path::PathBuf,
};

use clap::{Args, Subcommand, ValueEnum};
use nix::unistd::{User, getuid};
use serde_json::json;

use super::{
    CommandError, because, publication,
    text::{Table, clean},
    with_store,
};
use crate::{
    config::{Config, Publication},
    order::{datetime, model::Client, phone, reply},
    personal::{self, Erasure},
    store::{self, Store, console::Act},
};

/// Orders that are listed; `export` has all of them.
const LISTED: i64 = 20;

/// A client's data on request.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Shows a client with its addresses and its last orders
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Writes all that is stored of a client as JSON: to hand it out
    Export {
        #[command(flatten)]
        which: Which,
        /// A new file to write to, which its owner alone may read; without it to the standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Erases name, phones, e-mail, comments, addresses, requisites, and what was kept as it came. Numbers, ids, amounts and lines
    /// stay. It cannot be undone
    Erase {
        #[command(flatten)]
        which: Which,
        /// Also where an order is not finished, which loses its address
        #[arg(long)]
        with_open_orders: bool,
        /// That it is meant; without it is only said what would be erased
        #[arg(long)]
        yes: bool,
    },
}

/// Which client.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// The sender's id of the client, our number, or a phone
    id: String,
    /// A publication's name or alias; may be left out where the configuration has only one
    #[arg(long, value_name = "NAME")]
    publication: Option<String>,
    /// What ID is, where it could be several
    #[arg(long)]
    by: Option<By>,
}

/// What an id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The sender's id
    SenderId,
    /// Our number
    Number,
    /// A phone
    Phone,
}

impl From<By> for personal::By {
    fn from(by: By) -> Self {
        match by {
            By::SenderId => Self::SenderId,
            By::Number => Self::Number,
            By::Phone => Self::Phone,
        }
    }
}

pub(super) async fn run(command: &Command, config: &Config) -> Result<(), CommandError> {
    let (Command::Show { which } | Command::Export { which, .. } | Command::Erase { which, .. }) =
        command;
    let publication = publication(config, which.publication.as_deref())?;
    with_store(config, async |store| {
        let number = find(which, publication, &store).await?;
        match command {
            Command::Show { .. } => show(number, publication, &store).await,
            Command::Export { output, .. } => {
                export(number, output.as_ref(), publication, &store).await
            }
            Command::Erase {
                with_open_orders,
                yes,
                ..
            } => erase(number, *with_open_orders, *yes, publication, &store).await,
        }
    })
    .await
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn away(error: store::Error) -> CommandError {
    because("not done", &error)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn unfinished(error: store::Error) -> CommandError {
    because("not all is erased, run it once more to go on", &error)
}

/// Whoever runs the command, for the journal of operators.
fn whoever() -> String {
    let user = User::from_uid(getuid()).ok().flatten();
    let name = user.map_or_else(|| getuid().to_string(), |user| user.name);
    format!("aqua-orders ({name})")
}

/// The number of the client that is meant.
async fn find(
    which: &Which,
    publication: &Publication,
    store: &Store,
) -> Result<i32, CommandError> {
    let by = which.by.map(personal::By::from);
    let found = personal::find(store, publication, &which.id, by).await;
    match &found.map_err(away)?[..] {
        [only] => Ok(only.number),
        [] => Err(format!(
            "{} has no client {}",
            publication.name,
            clean(&which.id)
        )),
        several => {
            let mut table = Table::new(&["number", "sender's id", "name", "phone"]);
            for client in several {
                let guest = if client.is_guest { "guest" } else { "–" };
                table.row([
                    client.number.to_string(),
                    client.sender_id.clone().unwrap_or(guest.into()),
                    client.username.clone(),
                    client.phone.clone().unwrap_or_default(),
                ]);
            }
            Err(format!(
                "these may be meant; say which with --by number and its number:\n{}",
                table.print()
            ))
        }
    }
}

async fn whole(
    number: i32,
    publication: &Publication,
    store: &Store,
) -> Result<Client, CommandError> {
    let client = store
        .client(&publication.name, number)
        .await
        .map_err(away)?;
    client.ok_or_else(|| format!("{} has no client {number}", publication.name))
}

async fn show(
    number: i32,
    publication: &Publication,
    store: &Store,
) -> Result<String, CommandError> {
    let client = whole(number, publication, store).await?;
    let mut text = format!("client {number} of {}\n", publication.name);
    let mut line = |name: &str, value: Option<&str>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:16}{}", clean(value.unwrap_or("–")));
    };
    let region = publication.rules.phone_region;
    let mut phones: Vec<&str> = client
        .all_phones()
        .map(|phone| phone::answered(phone, region))
        .collect();
    phones.sort_unstable();
    phones.dedup();
    line("id", client.sender_id.as_deref());
    line(
        "username",
        Some(&client.username)
            .filter(|name| !name.is_empty())
            .map(String::as_str),
    );
    line(
        "phones",
        Some(phones.join(", "))
            .filter(|phones| !phones.is_empty())
            .as_deref(),
    );
    line("email", client.email.as_deref());
    line("comment", client.comment.as_deref());
    line(
        "account_number",
        client
            .account_number
            .map(|number| number.to_string())
            .as_deref(),
    );
    for address in &client.legal_address {
        line("legal_address", Some(address));
    }
    let inn = client
        .bank_account
        .as_ref()
        .and_then(|account| account.inn.as_deref());
    line("inn", inn);
    for address in &client.addresses {
        let name = reply::address_name(&address.content, address.district_name.as_deref());
        line("address", Some(&format!("{} {name}", address.number)));
    }
    let orders = store
        .last_orders_of_client(&publication.name, number, LISTED)
        .await;
    let mut table = Table::new(&["order", "sender's id", "status", "made at"]);
    for order in orders.map_err(away)? {
        let made_at = datetime::print(order.created_at, publication.rules.timezone);
        table.row([
            order.number.to_string(),
            order.sender_id,
            order.status,
            made_at,
        ]);
    }
    text.push('\n');
    text.push_str(&table.print());
    Ok(text)
}

async fn export(
    number: i32,
    output: Option<&PathBuf>,
    publication: &Publication,
    store: &Store,
) -> Result<String, CommandError> {
    let data = personal::export(store, publication, number)
        .await
        .map_err(away)?;
    let data = data.ok_or_else(|| format!("{} has no client {number}", publication.name))?;
    let text = format!("{data:#}\n");
    let login = whoever();
    let details = json!({ "client": number });
    store
        .note_action(
            &publication.name,
            Act::of(&login),
            "export_client",
            &details,
        )
        .await
        .map_err(away)?;
    let Some(path) = output else {
        return Ok(text);
    };
    let mut file = OpenOptions::new();
    // Nobody else's to read; and nothing that is there is written over.
    let file = file.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| because(format!("cannot write {}", path.display()), &error))?;
    Ok(format!(
        "client {number} of {} is in {}\n",
        publication.name,
        path.display()
    ))
}

async fn erase(
    number: i32,
    with_open_orders: bool,
    yes: bool,
    publication: &Publication,
    store: &Store,
) -> Result<String, CommandError> {
    let of = format!("client {number} of {}", publication.name);
    if !yes {
        let sheet = show(number, publication, store).await?;
        return Err(format!(
            "{sheet}\nnothing is erased yet. It cannot be undone: say --yes to erase {of}"
        ));
    }
    let login = whoever();
    let act = Act::of(&login);
    let done = personal::erase(store, publication, number, with_open_orders, act).await;
    match done.map_err(unfinished)? {
        Erasure::NoSuchClient => Err(format!("{} has no client {number}", publication.name)),
        Erasure::OpenOrders(orders) => {
            let numbers: Vec<String> = orders
                .iter()
                .map(|order| order.number.to_string())
                .collect();
            Err(format!(
                "nothing is erased: orders {} of {of} are not finished, and would lose their address. Finish or cancel them \
                 (`order set-status`), or say --with-open-orders",
                numbers.join(", ")
            ))
        }
        Erasure::Done(erased) if erased.is_nothing() => {
            Ok(format!("{of} has nothing left to erase\n"))
        }
        Erasure::Done(erased) => Ok(format!(
            "{of} is erased, with what {} order(s) said of it and {} order(s) that were kept as they came\n",
            erased.orders, erased.bodies
        )),
    }
}
