//! `aqua-orders journal …`: what came in, what was rejected or accepted with remarks, and why, what became of an order; a kept
//! order corrected and sent again, by the same way as over HTTP.

mod resubmit;

use std::{cmp::Reverse, collections::HashSet, fmt::Write as _};

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use self::resubmit::resubmit;
use super::{
    CommandError, because,
    order::{Which, find_any},
    publication,
    text::{Table, clean, laid_out},
    with_store,
};
use crate::{
    config::{Config, Publication},
    order::{
        datetime,
        fault::{FaultCode, WarningCode},
    },
    store::{
        Error, Store,
        journal::{Filter, JournalBatch, KeptOrder},
    },
};

/// Where nothing else is said, so many of the newest are shown.
const SHOWN: u32 = 50;

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
        /// A batch's id, or the `X-Request-Id` of its answer
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

/// What to look for.
#[derive(Debug, Clone, Args)]
pub(super) struct Search {
    /// Received since then: `2h`, `3d`, or a date or moment in the publication's time
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Received before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Sent by this login
    #[arg(long, value_name = "LOGIN")]
    user: Option<String>,
    /// With a fault or a warning of this code, such as `required`
    #[arg(long)]
    code: Option<String>,
    /// With this `X-Request-Id`
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Not more than so many
    #[arg(long, default_value_t = SHOWN)]
    limit: u32,
    #[command(flatten)]
    how: How,
}

/// Where to look, and how to show it.
#[derive(Debug, Clone, Args)]
pub(super) struct How {
    /// A publication's name or alias; all of them where none is given
    #[arg(long, value_name = "NAME")]
    publication: Option<String>,
    /// JSON instead of a table, an object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: &Command, config: &Config) -> Result<(), CommandError> {
    let mut rejected_again = false;
    with_store(config, async |store| match command {
        Command::Batches(search) => batches(search, config, &store).await,
        Command::Rejected(search) => orders(search, true, config, &store).await,
        Command::Remarks(search) => orders(search, false, config, &store).await,
        Command::Show { id, how } => show(id, how, config, &store).await,
        Command::Order { which, json } => {
            let publication = publication(config, which.publication.as_deref())?;
            history(which, *json, publication, &store).await
        }
        Command::Resubmit {
            id,
            edit,
            force,
            how,
        } => {
            let (said, accepted) = resubmit(id, *edit, *force, how, config, &store).await?;
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

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn away(error: Error) -> CommandError {
    because("the journal cannot be read", &error)
}

impl How {
    /// The publications to look into.
    fn publications<'c>(&self, config: &'c Config) -> Result<Vec<&'c Publication>, CommandError> {
        match &self.publication {
            Some(name) => Ok(vec![publication(config, Some(name))?]),
            None => Ok(config.publications.iter().collect()),
        }
    }
}

impl Search {
    fn filter(&self, zone: Tz) -> Result<Filter, CommandError> {
        let faults = FaultCode::ALL.map(FaultCode::as_str);
        let warnings = WarningCode::ALL.map(WarningCode::as_str);
        if let Some(code) = &self.code
            && !faults.contains(&code.as_str())
            && !warnings.contains(&code.as_str())
        {
            return Err(format!(
                "there is no fault {code}: there are {}; nor is there such a warning: there are {}",
                faults.join(", "),
                warnings.join(", ")
            ));
        }
        let when = |text: &Option<String>| text.as_ref().map(|text| moment(text, zone)).transpose();
        Ok(Filter {
            since: when(&self.since)?,
            until: when(&self.until)?,
            login: self.user.clone(),
            request_id: self.request_id.clone(),
            code: self.code.clone(),
            rejected: None,
            order_key: None,
            limit: self.limit.into(),
        })
    }
}

/// `2h` ago, a date, or a moment in that zone.
fn moment(text: &str, zone: Tz) -> Result<DateTime<Utc>, CommandError> {
    let ago = || {
        let unit = text.chars().last()?;
        let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
        let span = match unit {
            'm' => TimeDelta::try_minutes(count),
            'h' => TimeDelta::try_hours(count),
            'd' => TimeDelta::try_days(count),
            'w' => TimeDelta::try_weeks(count),
            _ => None,
        };
        Utc::now().checked_sub_signed(span?)
    };
    let day = || {
        let day: NaiveDate = text.parse().ok()?;
        datetime::parse(&format!("{day} 00:00"), zone)
    };
    ago()
        .or_else(day)
        .or_else(|| datetime::parse(text, zone))
        .ok_or_else(|| {
            format!(
                "{text} is no moment: write 30m, 2h, 3d, 2w, 2026-11-25 or \"2026-11-25 14:00\""
            )
        })
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("–").to_owned()
}

fn rfc3339(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn lines(objects: impl IntoIterator<Item = Value>) -> String {
    let mut text = String::new();
    for object in objects {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{object}");
    }
    text
}

fn batch_json(publication: &Publication, batch: &JournalBatch) -> Value {
    json!({
        "publication": publication.name,
        "batch": batch.batch,
        "received_at": rfc3339(batch.received_at),
        "request_id": batch.request_id,
        "user": batch.login,
        "orders": batch.orders,
        "accepted": batch.accepted,
        "rejected": batch.rejected,
        "with_remarks": batch.with_remarks,
        "dry_run": batch.dry_run,
    })
}

fn order_json(publication: &Publication, order: &KeptOrder) -> Value {
    json!({
        "publication": publication.name,
        "batch": order.batch,
        "place": order.position,
        "received_at": rfc3339(order.received_at),
        "request_id": order.request_id,
        "user": order.login,
        "order": order.order_key,
        "number_now": order.order_number,
        "accepted": order.warnings.is_some(),
        "errors": order.faults,
        "warnings": order.warnings.as_ref().unwrap_or(&json!([])),
        "repeated": order.repeated,
        // As text: it need not be JSON that every reader takes.
        "body": order.body,
    })
}

impl Search {
    /// What is found in each publication, the newest of all of them first.
    async fn newest<'c, T>(
        &self,
        config: &'c Config,
        read: impl AsyncFn(&str, &Filter) -> Result<Vec<T>, Error>,
        received_at: impl Fn(&T) -> DateTime<Utc>,
    ) -> Result<Vec<(&'c Publication, T)>, CommandError> {
        let mut found = Vec::new();
        for publication in self.how.publications(config)? {
            let filter = self.filter(publication.rules.timezone)?;
            let here = read(&publication.name, &filter).await.map_err(away)?;
            found.extend(here.into_iter().map(|entry| (publication, entry)));
        }
        found.sort_by_key(|(_, entry)| Reverse(received_at(entry)));
        found.truncate(self.limit as usize);
        Ok(found)
    }
}

async fn batches(search: &Search, config: &Config, store: &Store) -> Result<String, CommandError> {
    let read =
        async |publication: &str, filter: &Filter| store.journal_batches(publication, filter).await;
    let found = search
        .newest(config, read, |batch| batch.received_at)
        .await?;
    if search.how.json {
        return Ok(lines(found.iter().map(|(of, batch)| batch_json(of, batch))));
    }
    let mut table = Table::new(&[
        "received",
        "publication",
        "user",
        "orders",
        "accepted",
        "rejected",
        "with remarks",
        "dry run",
        "request id",
        "batch",
    ]);
    for (publication, batch) in found {
        table.row([
            datetime::print(batch.received_at, publication.rules.timezone),
            publication.name.clone(),
            or_dash(batch.login.as_deref()),
            batch.orders.to_string(),
            batch.accepted.to_string(),
            batch.rejected.to_string(),
            batch.with_remarks.to_string(),
            or_dash(batch.dry_run.then_some("yes")),
            batch.request_id,
            batch.batch.to_string(),
        ]);
    }
    Ok(table.print())
}

/// A fault or a warning in words: `client.phone: … (required)`.
fn in_words(entry: &Value) -> String {
    let part = |name: &str| clean(entry[name].as_str().unwrap_or_default());
    let (message, code) = (part("message"), part("code"));
    match &*part("field") {
        "" => format!("{message} ({code})"),
        field => format!("{field}: {message} ({code})"),
    }
}

/// `client.phone: required` of each fault or warning.
fn codes(order: &KeptOrder) -> String {
    let codes: Vec<String> = order
        .entries()
        .map(|entry| {
            let part = |name: &str| entry[name].as_str().unwrap_or_default();
            match part("field") {
                "" => part("code").to_owned(),
                field => format!("{field}: {}", part("code")),
            }
        })
        .collect();
    match codes.len() {
        0..=4 => codes.join(", "),
        more => format!("{}, and {} more", codes[..3].join(", "), more - 3),
    }
}

/// The rejected orders, or those with remarks.
async fn orders(
    search: &Search,
    rejected: bool,
    config: &Config,
    store: &Store,
) -> Result<String, CommandError> {
    let read = async |publication: &str, filter: &Filter| {
        let filter = Filter {
            rejected: Some(rejected),
            ..filter.clone()
        };
        store.journal_orders(publication, None, &filter).await
    };
    let found = search
        .newest(config, read, |order| order.received_at)
        .await?;
    if search.how.json {
        let objects = found.iter().map(|(of, order)| order_json(of, order));
        return Ok(lines(objects));
    }
    let mut table = Table::new(&[
        "received",
        "publication",
        "user",
        "order",
        "number now",
        if rejected { "faults" } else { "warnings" },
        "id",
    ]);
    for (publication, order) in found {
        table.row([
            datetime::print(order.received_at, publication.rules.timezone),
            publication.name.clone(),
            or_dash(order.login.as_deref()),
            order.order_key.clone(),
            or_dash(
                order
                    .order_number
                    .map(|number| number.to_string())
                    .as_deref(),
            ),
            codes(&order),
            format!("{}/{}", order.batch, order.position),
        ]);
    }
    Ok(table.print())
}

/// The batches of that id or `X-Request-Id`, with their publications.
async fn find_batches<'c>(
    id: &str,
    how: &How,
    config: &'c Config,
    store: &Store,
) -> Result<Vec<(&'c Publication, JournalBatch)>, CommandError> {
    let mut found = Vec::new();
    for publication in how.publications(config)? {
        let name = &publication.name;
        if let Ok(batch) = id.parse::<Uuid>() {
            let batch = store.journal_batch(name, batch).await.map_err(away)?;
            found.extend(batch.map(|batch| (publication, batch)));
        }
        let filter = Filter {
            request_id: Some(id.to_owned()),
            limit: SHOWN.into(),
            ..Filter::default()
        };
        let batches = store.journal_batches(name, &filter).await.map_err(away)?;
        found.extend(batches.into_iter().map(|batch| (publication, batch)));
    }
    if found.is_empty() {
        return Err(format!(
            "the journal has no batch {id}, and none with such an X-Request-Id"
        ));
    }
    Ok(found)
}

fn everything() -> Filter {
    Filter {
        limit: i64::MAX,
        ..Filter::default()
    }
}

async fn show(id: &str, how: &How, config: &Config, store: &Store) -> Result<String, CommandError> {
    let mut said = String::new();
    for (publication, batch) in find_batches(id, how, config, store).await? {
        let kept = store
            .journal_orders(&publication.name, Some(batch.batch), &everything())
            .await
            .map_err(away)?;
        let (with_remarks, rejected): (Vec<_>, Vec<_>) =
            kept.iter().partition(|order| order.warnings.is_some());
        if how.json {
            let mut object = batch_json(publication, &batch);
            for (name, orders) in [
                ("rejected_orders", &rejected),
                ("orders_with_remarks", &with_remarks),
            ] {
                let orders = orders.iter().map(|order| order_json(publication, order));
                object[name] = orders.collect();
            }
            said.push_str(&lines([object]));
            continue;
        }
        if !said.is_empty() {
            said.push('\n');
        }
        let zone = publication.rules.timezone;
        let mut table = Table::new(&["batch", &batch.batch.to_string()]);
        for (name, value) in [
            ("publication", publication.name.clone()),
            (
                "received",
                format!("{} ({zone})", datetime::print(batch.received_at, zone)),
            ),
            ("request id", batch.request_id.clone()),
            ("user", or_dash(batch.login.as_deref())),
            ("orders", batch.orders.to_string()),
            ("accepted", batch.accepted.to_string()),
            ("rejected", batch.rejected.to_string()),
            ("with remarks", batch.with_remarks.to_string()),
        ] {
            table.row([name.to_owned(), value]);
        }
        if batch.dry_run {
            table.row(["dry run".to_owned(), "yes: nothing was stored".to_owned()]);
        }
        said.push_str(&table.print());
        for order in &kept {
            said.push_str(&order_sheet(order));
        }
        if batch.dry_run {
            continue;
        }
        for (orders, kept, why_else) in [
            (("rejected orders", batch.rejected), &rejected, ""),
            (
                ("accepted orders with remarks", batch.with_remarks),
                &with_remarks,
                "the same text was kept before that day, ",
            ),
        ] {
            let (what, count) = orders;
            let not_kept = i64::from(count) - entries_of(kept);
            if not_kept > 0 {
                // Writing to a text cannot fail.
                let _ = writeln!(
                    said,
                    "\n{not_kept} {what} are not kept: {why_else}the day's budget was used up ([journal] \
                     rejected_bytes_per_day), the disk was nearly full, or they were too old"
                );
            }
        }
    }
    Ok(said)
}

/// How many entries of the answer these are.
fn entries_of(kept: &[&KeptOrder]) -> i64 {
    // An order that came twice had one entry.
    let keys: HashSet<&str> = kept.iter().map(|order| order.order_key.as_str()).collect();
    let repeated: i64 = kept.iter().map(|order| i64::from(order.repeated)).sum();
    i64::try_from(keys.len()).unwrap_or(i64::MAX) + repeated
}

fn order_sheet(order: &KeptOrder) -> String {
    let verdict = match order.warnings {
        Some(_) => "accepted with remarks",
        None => "rejected",
    };
    let mut text = format!(
        "\norder {} was {verdict} ({}/{})",
        clean(&order.order_key),
        order.batch,
        order.position
    );
    if let Some(number) = order.order_number {
        // Writing to a text cannot fail.
        let _ = write!(text, "; there is such an order now, number {number}");
    }
    if order.repeated > 0 {
        let _ = write!(text, "; {} more like it came along", order.repeated);
    }
    text.push('\n');
    for entry in order.entries() {
        let _ = writeln!(text, "  {}", in_words(entry));
    }
    for line in laid_out(&order.body).lines() {
        let _ = writeln!(text, "    {line}");
    }
    text
}

/// One thing that happened to an order.
struct Event {
    at: Option<DateTime<Utc>>,
    what: &'static str,
    details: Vec<String>,
    batch: Option<Uuid>,
    request_id: Option<String>,
    login: Option<String>,
    json: Value,
}

/// When a UUID v7 was made.
fn made_at(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}

async fn history(
    which: &Which,
    json: bool,
    publication: &Publication,
    store: &Store,
) -> Result<String, CommandError> {
    let name = &publication.name;
    // One that was only ever rejected is not found, and has a history all the same.
    let order = find_any(which, publication, store).await?;
    let mut events = Vec::new();
    let mut sender_id = which.id.clone();
    if let Some(order) = &order {
        sender_id.clone_from(&order.sender_id);
        if let Some(made) = store
            .order_creation(name, order.number)
            .await
            .map_err(away)?
        {
            events.push(Event {
                at: made.received_at.or_else(|| made.batch.and_then(made_at)),
                what: "accepted, new",
                details: Vec::new(),
                batch: made.batch,
                request_id: made.request_id,
                login: made.login,
                json: json!({ "event": "created" }),
            });
        }
        for change in store
            .order_changes(name, order.number)
            .await
            .map_err(away)?
        {
            events.push(Event {
                at: Some(change.made_at),
                what: if change.batch.is_some() {
                    "accepted, changed"
                } else {
                    "by hand"
                },
                details: differences(&change.changes, publication.rules.timezone),
                batch: change.batch,
                request_id: change.request_id,
                login: change.login,
                json: json!({ "event": "changed", "changes": change.changes }),
            });
        }
    }
    let filter = Filter {
        order_key: Some(sender_id.clone()),
        ..everything()
    };
    let kept = store
        .journal_orders(name, None, &filter)
        .await
        .map_err(away)?;
    for order in kept {
        let (event, what) = match order.warnings {
            Some(_) => ("remarks", "accepted with remarks"),
            None => ("rejected", "rejected"),
        };
        events.push(Event {
            at: Some(order.received_at),
            what,
            details: vec![codes(&order)],
            json: json!({
                "event": event, "place": order.position, "errors": order.faults,
                "warnings": order.warnings.as_ref().unwrap_or(&json!([])), "body": order.body
            }),
            batch: Some(order.batch),
            request_id: Some(order.request_id),
            login: order.login,
        });
    }
    if events.is_empty() {
        return Err(format!(
            "{name} has no order {}, and none was rejected",
            which.id
        ));
    }
    // Of one moment: in the order in which they were found.
    events.sort_by_key(|event| event.at);
    Ok(if json {
        lines(events.into_iter().map(|event| {
            let mut object = event.json;
            object["at"] = event.at.map(rfc3339).into();
            object["batch"] = json!(event.batch);
            object["request_id"] = json!(event.request_id);
            object["user"] = json!(event.login);
            object["order"] = json!(sender_id);
            object["number"] = json!(order.as_ref().map(|order| order.number));
            object["publication"] = json!(name);
            object
        }))
    } else {
        let title = match &order {
            Some(order) => format!(
                "order {} ({}) of {name}: {}\n\n",
                order.number,
                clean(&order.sender_id),
                order.status.as_str()
            ),
            None => format!(
                "{name} has no order {}; it was rejected:\n\n",
                clean(&sender_id)
            ),
        };
        title + &event_table(events, publication.rules.timezone)
    })
}

fn event_table(events: Vec<Event>, zone: Tz) -> String {
    let mut table = Table::new(&["when", "what", "", "user", "request id"]);
    for event in events {
        let mut details = event.details.into_iter();
        table.row([
            event
                .at
                .map_or_else(|| or_dash(None), |at| datetime::print(at, zone)),
            event.what.to_owned(),
            details.next().unwrap_or_default(),
            or_dash(event.login.as_deref()),
            match (event.request_id, event.batch) {
                (Some(id), _) => id,
                (None, Some(batch)) => format!("batch {batch}, not in the journal any more"),
                (None, None) => or_dash(None),
            },
        ]);
        for more in details {
            table.row([String::new(), String::new(), more]);
        }
    }
    table.print()
}

/// `total: 710 → 720`, moments in that zone.
fn differences(changes: &Value, zone: Tz) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(moment) => datetime::print(moment.to_utc(), zone),
            Err(_) => text.clone(),
        },
        other => other.to_string(),
    };
    let changes = changes.as_object().into_iter().flatten();
    changes
        .map(|(field, change)| format!("{field}: {} → {}", shown(&change[0]), shown(&change[1])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_span_a_date_or_a_time_of_the_publication() {
        let zone = chrono_tz::Europe::Moscow;
        let at = |text| moment(text, zone).map(rfc3339);
        assert_eq!(at("2026-11-25").as_deref(), Ok("2026-11-24T21:00:00.000Z"));
        assert_eq!(
            at("2026-11-25 14:00").as_deref(),
            Ok("2026-11-25T11:00:00.000Z")
        );
        let then = moment("3d", zone).expect("a moment");
        let ago = Utc::now() - then;
        assert_eq!(ago.num_hours(), 72);
        for nonsense in [
            "",
            "3",
            "d",
            "3y",
            "99999999999999d",
            "yesterday",
            "2026-13-01",
            "é",
        ] {
            assert!(at(nonsense).is_err(), "{nonsense}");
        }
    }
}
