//! `aqua-orders import products|clients|districts|orders FILE --publication NAME`

use std::{fmt::Write as _, path::PathBuf, sync::Mutex};

use clap::{Args, ValueEnum, builder::PossibleValue};
use encoding_rs::Encoding;
use indicatif::{ProgressBar, ProgressStyle};

use super::{CommandError, because, publication, with_store};
use crate::{
    catalogue::{Subject, entry::Entries},
    config::{Config, Publication},
    import::{self, Options, Report, Step},
    store::Store,
};

/// Sets districts, products or clients as a file says, or orders that were there before.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = COLUMNS)]
pub(super) struct Import {
    /// What the file is about
    pub what: Subject,
    /// The file: CSV (UTF-8 or Windows-1251, comma or semicolon) or JSON
    pub file: PathBuf,
    /// Whose data it is: a publication's name or alias
    #[arg(long, value_name = "NAME")]
    pub publication: String,
    /// How the file is encoded, if it is neither UTF-8 nor Windows-1251: cp866, koi8-r, …
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<&'static Encoding>,
    /// Say what would happen and store nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Leave bad lines out; without this one bad line refuses the file
    #[arg(long)]
    pub skip_bad: bool,
}

impl ValueEnum for Subject {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Products, Self::Clients, Self::Districts, Self::Orders]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()).help(match self {
            Self::Products => "The catalogue, and which of the sender's ids mean which product",
            Self::Clients => "Clients with their addresses, requisites, prices and bonus balance",
            Self::Districts => "Districts that addresses lie in",
            Self::Orders => {
                "Orders that 1C had before this service: they keep their numbers when the site sends them again"
            }
        }))
    }
}

fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.as_bytes()).ok_or_else(|| {
        "no encoding is called so; there are cp866, windows-1251, koi8-r, utf-8, utf-16le, …"
            .to_owned()
    })
}

const COLUMNS: &str = "\
The first line of a CSV file names the columns, in any order:

districts  number, name
products   number, sender_ids, name, active
orders     sender_id, number, status (new, approved, completed, removed), receiver_number, receiver_uid
clients    number, sender_id, username, type (fiz, jur), phone, phones, email, comment, account_number,
           legal_address, coins_amount, loyalty_system_is_active,
           bank_account.inn, bank_account.kpp, bank_account.account_number,
           bank_account.correspondent_account, bank_account.bik, bank_account.bank_name,
           addresses.number, addresses.sender_id, addresses.city, addresses.street, addresses.house,
           addresses.str, addresses.entrance, addresses.floor, addresses.room, addresses.district,
           prices.product, prices.price, prices.active

Who is meant    is told by number, else by the sender's id. A number that is free is taken as it is; a new record
                without one gets the next free number. An address may also be told by its content.
Missing column  leaves what is stored; an empty cell clears it (names, numbers and account_number stay).
Lists           in a cell (sender_ids, phones, legal_address) have | between their entries.
Several lines   may tell of one record: a client has a line for each address and each price, with its own columns
                repeated or left empty. sender_ids, addresses and prices are added or changed, never taken away;
                prices.active 0 ends a price. A sender id that meant another product moves, and that is said.
Values          2 647 and 1 234,50 are numbers; 1, true, да and 0, false, нет are yes and no.
JSON            is an array of objects with the same names: [{\"number\": 68, \"phones\": [\"+79083280832\"],
                \"bank_account\": {\"inn\": \"…\"}, \"addresses\": [{\"number\": 2647, …}], \"prices\": [{\"product\": 36, …}]}]

A record is taken whole or not at all, and so is the file: in one transaction, and not with a bad line in it, unless
--skip-bad leaves that record out. Importing a file again changes nothing.";

pub(super) async fn run(args: &Import, config: &Config) -> Result<(), CommandError> {
    let publication = publication(config, Some(&args.publication))?;
    // Before the database: most of what can be wrong with a file is known without it.
    let mut entries = Entries::default();
    import::read(
        &args.file,
        args.what,
        args.encoding,
        publication,
        &mut entries,
    )
    .await
    .map_err(|error| because("nothing is imported", &error))?;
    with_store(config, async |store| {
        let report = import(args, publication, &entries, &store)
            .await
            .map_err(|error| because("nothing is imported", &error))?;
        let text = describe(args, &report);
        if report.problems.is_empty() || args.skip_bad {
            Ok(text)
        } else {
            Err(format!("the file is refused\n{}", text.trim_end()))
        }
    })
    .await
}

async fn import(
    args: &Import,
    publication: &Publication,
    entries: &Entries,
    store: &Store,
) -> Result<Report, import::Error> {
    let options = Options {
        dry_run: args.dry_run,
        skip_bad: args.skip_bad,
    };
    let bar = Bar::default();
    let watch = |step, done, all| bar.show(step, done, all);
    let report = import::import(store, publication, entries, options, &watch).await;
    bar.clear();
    report
}

/// A bar for each step, on a terminal only.
#[derive(Default)]
struct Bar(Mutex<Option<(Step, ProgressBar)>>);

impl Bar {
    fn show(&self, step: Step, done: usize, all: usize) {
        let Ok(mut shown) = self.0.lock() else { return };
        let fresh = || {
            let what = match step {
                Step::Read => "looking up",
                Step::Write => "writing",
            };
            let style = ProgressStyle::with_template("{msg:10} {wide_bar} {pos}/{len} {eta}");
            let bar = ProgressBar::new(0).with_message(what);
            (
                step,
                style.map_or(bar.clone(), |style| bar.with_style(style)),
            )
        };
        if shown.as_ref().is_none_or(|(shown, _)| *shown != step) {
            if let Some((_, bar)) = shown.take() {
                bar.finish_and_clear();
            }
            *shown = Some(fresh());
        }
        if let Some((_, bar)) = &*shown {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
    }

    fn clear(&self) {
        if let Ok(mut shown) = self.0.lock()
            && let Some((_, bar)) = shown.take()
        {
            bar.finish_and_clear();
        }
    }
}

fn describe(args: &Import, report: &Report) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    };
    for problem in &report.problems {
        say(format!("refused {problem}"));
    }
    for note in &report.notes {
        say(note.to_string());
    }
    let subject = args.what;
    let mut totals = report.totals;
    say(format!("{}: {}", subject.as_str(), totals.of(subject)));
    if args.dry_run {
        say("dry run: nothing is stored".into());
    } else if !report.stored {
        say("nothing is stored: fix the lines above, or leave them out with --skip-bad".into());
    }
    text
}
