//! `journal show`: a batch, with the orders of it that are kept.

use std::{collections::HashSet, fmt::Write as _};

use super::{
    search::{How, away, everything, find_batches},
    shown::{batch_json, in_words, lines, or_dash, order_json},
};
use crate::{
    cli::{
        CommandError,
        text::{Table, clean, laid_out},
    },
    config::Config,
    order::datetime,
    store::{Store, journal::KeptOrder},
};

pub(super) async fn show(
    id: &str,
    how: &How,
    config: &Config,
    store: &Store,
) -> Result<String, CommandError> {
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

/// How many entries of the response these are.
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
