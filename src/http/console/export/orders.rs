//! The list of orders as a file.

use std::sync::Arc;

use axum::{Form, extract::State, response::Response};
use serde::Deserialize;
use serde_json::Value;

use super::{Cell, Export, Format, STEP, Sheet, Source, Style, joined, noted, send};
use crate::{
    http::console::{
        Console,
        escape::visible,
        faults::in_words,
        orders::{Asked, nothing_listed},
        period,
        refusal::Refusal,
        session::Desk,
        shown,
        texts::{Texts, texts},
    },
    order::{fault::Language, model::Status, reply},
    store::{
        self, Store,
        console::{OrderDetails, OrderRow, OrdersFilter, Position},
    },
};

#[derive(Debug, Deserialize)]
pub(in crate::http::console) struct Wanted {
    #[serde(default)]
    format: String,
    #[serde(flatten)]
    asked: Asked,
}

const COLUMNS: usize = 23;
/// The one of the orders' sums.
const TOTAL: usize = 9;
const WIDTHS: [f64; COLUMNS] = [
    9.0, 26.0, 12.0, 16.0, 16.0, 16.0, 26.0, 18.0, 44.0, 12.0, 16.0, 16.0, 16.0, 16.0, 44.0, 9.0,
    14.0, 10.0, 12.0, 16.0, 40.0, 40.0, 40.0,
];

fn titles(t: &Texts) -> [&'static str; COLUMNS] {
    [
        t.order,
        t.sender_id,
        t.status,
        t.created,
        t.delivery_from,
        t.delivery_to,
        t.client,
        t.phone,
        t.address,
        t.total,
        t.number_in_1c,
        t.not_taken,
        t.with_unmatched,
        t.with_remarks,
        t.lines,
        t.quantity,
        t.field("payment_type"),
        t.field("payment_status"),
        t.field("delivery_cost"),
        t.field("count_of_returned_bottles"),
        t.comment,
        t.why_not_taken,
        t.which_remarks,
    ]
}

fn cells(row: &OrderRow, details: &OrderDetails, style: Style) -> [Cell; COLUMNS] {
    let t = texts(style.language);
    // Whatever somebody wrote, with its invisible signs made visible.
    let text = |text: &str| Cell::Text(visible(text).into_owned());
    let flag = |is_so: bool| text(if is_so { t.yes } else { "" });
    let status = Status::parse(&row.status);
    [
        Cell::Number(row.number),
        text(&row.sender_id),
        text(status.map_or(&*row.status, |status| t.status(status))),
        Cell::Moment(row.created_at),
        Cell::Moment(row.shipping_date_from),
        Cell::Moment(row.shipping_date_to),
        text(&shown::or_erased(row.client.clone(), t)),
        text(&row.phone.as_deref().map_or_else(String::new, phone)),
        text(&shown::or_erased(
            reply::address_name(&row.shipping_address, None),
            t,
        )),
        Cell::Amount(row.total),
        text(row.receiver_number.as_deref().unwrap_or_default()),
        flag(row.not_taken.is_some()),
        flag(row.unmatched),
        flag(row.with_remarks),
        text(&lines(details)),
        Cell::Number(
            details
                .quantities
                .iter()
                .fold(0, |all, of_line| all.saturating_add(*of_line)),
        ),
        text(t.payment_type(details.payment_type.as_deref().unwrap_or_default())),
        text(if details.payment_status { t.yes } else { t.no }),
        details.delivery_cost.map_or(Cell::Empty, Cell::Amount),
        Cell::Number(details.count_of_returned_bottles),
        text(details.comment.as_deref().unwrap_or_default()),
        text(row.not_taken.as_deref().unwrap_or_default()),
        text(&remarks(details, style.language)),
    ]
}

/// `Вода 19 л × 2; Помпа × 1`
fn lines(details: &OrderDetails) -> String {
    let lines = details.names.iter().zip(&details.quantities);
    let lines = lines.map(|(name, quantity)| format!("{name} × {quantity}"));
    lines.collect::<Vec<_>>().join("; ")
}

fn remarks(details: &OrderDetails, language: Language) -> String {
    let entries = details.remarks.as_ref().and_then(Value::as_array);
    let entries = entries.into_iter().flatten();
    let told = entries.map(|entry| in_words(entry, language));
    told.collect::<Vec<_>>().join("; ")
}

/// `8 908 328-08-32`: with ordinary spaces, as people type it into a search, and with an 8, for what begins with `+` is a formula.
fn phone(e164: &str) -> String {
    let shown = shown::phone(e164).replace('\u{a0}', " ");
    let of_russia = shown.strip_prefix("+7 ");
    of_russia.map_or_else(|| shown.clone(), |rest| format!("8 {rest}"))
}

/// The orders of an export, the newest first.
struct Orders {
    store: Store,
    publication: String,
    targets: Vec<String>,
    filter: OrdersFilter,
    style: Style,
    after: Option<Position>,
    has_more: bool,
    /// Whether older ones were not looked at.
    is_cut: bool,
}

impl Source<COLUMNS> for Orders {
    async fn next(&mut self) -> Result<Vec<[Cell; COLUMNS]>, store::Error> {
        if !self.has_more {
            return Ok(Vec::new());
        }
        let (publication, after) = (&self.publication, self.after);
        let page = self
            .store
            .list_orders(publication, &self.targets, &self.filter, after, STEP)
            .await?;
        self.after = page.rows.last().map(|row| Position {
            created_at: row.created_at,
            number: row.number,
        });
        self.has_more = page.has_more && self.after.is_some();
        self.is_cut |= page.is_cut;
        let numbers: Vec<i32> = page.rows.iter().map(|row| row.number).collect();
        let details = self.store.order_details(publication, &numbers).await?;
        // Both have all orders of these numbers, in their order: none is ever removed.
        let exported = page.rows.iter().zip(&details);
        Ok(exported
            .map(|(row, details)| cells(row, details, self.style))
            .collect())
    }

    fn is_cut(&self) -> bool {
        self.has_more || self.is_cut
    }
}

pub(in crate::http::console) async fn export(
    State(console): State<Arc<Console>>,
    desk: Desk,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Refusal> {
    let format = Format::parse(&wanted.format)?;
    let (zone, language) = (desk.publication.rules.timezone, desk.visit.language);
    let t = texts(language);
    let asked = wanted.asked;
    let filter = match asked.filter(zone) {
        Ok(filter) => filter,
        Err(why) => return Ok(nothing_listed(&desk, &asked, &why)),
    };
    let source = Orders {
        store: desk.store().clone(),
        publication: desk.publication.name.clone(),
        targets: desk.targets.clone(),
        filter,
        style: Style { zone, language },
        after: None,
        has_more: true,
        is_cut: false,
    };
    let sheet = Sheet {
        name: t.orders,
        titles: titles(t),
        widths: WIDTHS,
        summed: Some((TOTAL, t.total)),
        cut: t.export_cut,
    };
    let filter = noted(asked.parameters());
    let [(_, status), ..] = asked.parameters();
    let export = Export {
        format,
        sheet,
        source,
        what: "orders",
        days: asked.days(),
        part: status.to_owned(),
        told: told(&filter, t),
        filter,
    };
    send(&console, &desk, export).await
}

/// A filter as it was noted, as people read it.
pub(in crate::http::console) fn told(filter: &Value, t: &Texts) -> String {
    let part = |name: &str| filter.get(name).and_then(Value::as_str);
    let status = part("status").and_then(Status::parse);
    joined(
        [
            status.map(|status| t.statuses(status).to_owned()),
            part("from").map(|text| format!("{} {}", t.created_from, period::told(text))),
            part("to").map(|text| format!("{} {}", t.created_to, period::told(text))),
            part("not_taken").map(|_| t.not_taken.to_owned()),
            part("unmatched").map(|_| t.with_unmatched.to_owned()),
            part("remarks").map(|_| t.with_remarks.to_owned()),
            part("withheld").map(|_| t.not_sent_any_more.to_owned()),
        ],
        t,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_written_as_people_type_it() {
        assert_eq!(phone("+79083280832"), "8 908 328-08-32");
        assert_eq!(phone("+4915112345678"), "+4915112345678");
    }
}
