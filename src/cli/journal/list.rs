//! `journal batches`, `rejected` and `remarks`.

use super::{
    search::Search,
    shown::{batch_json, codes, lines, or_dash, order_json},
};
use crate::{
    cli::{CommandError, text::Table},
    config::Config,
    order::datetime,
    store::{Store, journal::Filter},
};

pub(super) async fn batches(
    search: &Search,
    config: &Config,
    store: &Store,
) -> Result<String, CommandError> {
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

/// The rejected orders, or those with remarks.
pub(super) async fn orders(
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
