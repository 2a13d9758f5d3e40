//! What the list of orders shows, as a file: CSV, written while it is read, or XLSX, which is made in memory and bounded therefore.

mod csv_file;
mod xlsx_file;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Form,
    body::{Body, Bytes, HttpBody},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, NaiveDate, Utc};
use hyper::body::Frame;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};

use super::{
    Console,
    escape::visible,
    faults::in_words,
    orders::{Asked, nothing_listed},
    period,
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    order::{fault::Language, model::Status, reply, zone::Zone},
    store::{
        self, Store,
        console::{Act, OrderDetails, OrderRow, OrdersFilter, Position},
    },
};

/// Exports that an instance makes at once.
pub(super) const AT_ONCE: usize = 2;
/// The newest so many orders are in a workbook.
pub(super) const MOST_IN_XLSX: usize = 20_000;
/// Orders that are read at once.
const STEP: usize = 1_000;
/// How long a browser may take to fetch what was read.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    format: String,
    #[serde(flatten)]
    asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Xlsx,
}

/// How cells are written.
#[derive(Debug, Clone, Copy)]
struct Style {
    zone: Zone,
    language: Language,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Empty,
    Number(i32),
    Amount(Decimal),
    Moment(DateTime<Utc>),
    Text(String),
}

/// An order as a file has it.
#[derive(Debug, Clone)]
struct Exported {
    row: OrderRow,
    details: OrderDetails,
}

const COLUMNS: usize = 23;

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

fn cells(exported: &Exported, style: Style) -> [Cell; COLUMNS] {
    let t = texts(style.language);
    let Exported { row, details } = exported;
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
    after: Option<Position>,
    has_more: bool,
    /// Whether older ones were not looked at.
    is_cut: bool,
}

impl Orders {
    /// The next ones; empty at the end.
    async fn next(&mut self) -> Result<Vec<Exported>, store::Error> {
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
        let exported = page.rows.into_iter().zip(details);
        Ok(exported
            .map(|(row, details)| Exported { row, details })
            .collect())
    }
}

pub(super) async fn export(
    State(console): State<Arc<Console>>,
    desk: Desk,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Refusal> {
    let format = match wanted.format.as_str() {
        "csv" => Format::Csv,
        "xlsx" => Format::Xlsx,
        _ => return Err(Refusal::NotFound),
    };
    let zone = desk.publication.rules.timezone;
    let filter = match wanted.asked.filter(zone) {
        Ok(filter) => filter,
        Err(why) => return Ok(nothing_listed(&desk, &wanted.asked, &why)),
    };
    let permit = Arc::clone(&console.exports).try_acquire_owned();
    let permit = permit.map_err(|_all_taken| Refusal::ManyExports)?;
    let name = desk.publication.name.clone();
    let style = Style {
        zone,
        language: desk.visit.language,
    };
    let mut orders = Orders {
        store: desk.store().clone(),
        publication: name.clone(),
        targets: desk.targets.clone(),
        filter,
        after: None,
        has_more: true,
        is_cut: false,
    };
    // Whatever fails so far is told on a page. Nothing leaves before it is noted who took it.
    let first = orders.next().await?;
    let details = json!({ "format": wanted.format, "filter": noted(&wanted.asked) });
    let act = Act::of(&desk.visit.user.login);
    desk.store()
        .note_action(&name, act, "export_orders", &details)
        .await?;
    let now = desk.store().now().await?;
    let (kind, body) = match format {
        Format::Csv => {
            let (pieces, body) = mpsc::channel(1);
            tokio::spawn(send_csv(orders, first, style, pieces, permit));
            ("text/csv; charset=utf-8", Body::new(Pieces(body)))
        }
        Format::Xlsx => {
            let about = xlsx_file::About {
                publication: name.clone(),
                login: desk.visit.user.login.clone(),
                made_at: now,
                filter: told(&details["filter"], texts(style.language)),
            };
            let file = xlsx(orders, first, style, about, permit).await?;
            let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
            (kind, Body::from(file))
        }
    };
    let today = style.zone.local(now).date_naive();
    let file = file_name(&name, &wanted.asked, today);
    let file = format!("attachment; filename=\"{file}.{}\"", wanted.format);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CONTENT_DISPOSITION,
            // Digits and letters.
            HeaderValue::try_from(file).map_err(|_invalid| Refusal::Defect)?,
        ),
    ];
    Ok((StatusCode::OK, headers, body).into_response())
}

/// `orders-2026-11-16_2026-11-22-completed-shop`: the days that are in it, else the day of the export. A publication's name is left out
/// where a file cannot be called so.
fn file_name(publication: &str, asked: &Asked, today: NaiveDate) -> String {
    let days = match asked.days() {
        (None, None) => today.to_string(),
        (Some(first), Some(last)) if first == last => first.to_string(),
        (Some(first), last) => format!("{first}_{}", last.unwrap_or(today)),
        (None, Some(last)) => format!("until-{last}"),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let [(_, status), ..] = asked.parameters();
    let more = [status, publication].into_iter();
    let more = more.filter(|part| !part.is_empty() && part.chars().all(is_plain));
    more.fold(format!("orders-{days}"), |name, part| {
        format!("{name}-{part}")
    })
}

/// What was asked for, for the journal of operators.
fn noted(asked: &Asked) -> Value {
    let set = asked.parameters().into_iter();
    let set = set.filter(|(_, value)| !value.is_empty());
    set.map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
}

/// `26.11.2026`
fn day(text: &str) -> String {
    period::read(text).map_or_else(|| text.to_owned(), period::shown)
}

/// The same, as people read it.
pub(super) fn told(filter: &Value, t: &Texts) -> String {
    let part = |name: &str| filter.get(name).and_then(Value::as_str);
    let status = part("status").and_then(Status::parse);
    let parts = [
        status.map(|status| t.statuses(status).to_owned()),
        part("from").map(|text| format!("{} {}", t.created_from, day(text))),
        part("to").map(|text| format!("{} {}", t.created_to, day(text))),
        part("not_taken").map(|_| t.not_taken.to_owned()),
        part("unmatched").map(|_| t.with_unmatched.to_owned()),
        part("remarks").map(|_| t.with_remarks.to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        t.all.to_owned()
    } else {
        parts.join(", ")
    }
}

/// Writes what is read, piece by piece, as fast as the browser fetches it.
async fn send_csv(
    mut orders: Orders,
    first: Vec<Exported>,
    style: Style,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    _permit: OwnedSemaphorePermit,
) {
    let mut piece = csv_file::begin(style).and_then(|mut begin| {
        begin.extend(csv_file::lines(&first, style)?);
        Ok(begin)
    });
    loop {
        let is_broken = piece.is_err();
        let sent = timeout(PATIENCE, pieces.send(piece.map(Bytes::from))).await;
        if is_broken || !matches!(sent, Ok(Ok(()))) {
            // Nobody fetches it any more.
            return;
        }
        piece = match orders.next().await {
            Ok(rows) if rows.is_empty() => return,
            Ok(rows) => csv_file::lines(&rows, style),
            Err(error) => {
                tracing::error!(error = %error.in_full(), "an export broke off");
                // The browser tells that the file is not whole.
                Err(io::Error::other("the database did not answer"))
            }
        };
    }
}

async fn xlsx(
    mut orders: Orders,
    first: Vec<Exported>,
    style: Style,
    about: xlsx_file::About,
    permit: OwnedSemaphorePermit,
) -> Result<Vec<u8>, Refusal> {
    let mut rows = first;
    while rows.len() < MOST_IN_XLSX {
        let more = orders.next().await?;
        if more.is_empty() {
            break;
        }
        rows.extend(more);
    }
    rows.truncate(MOST_IN_XLSX);
    let is_cut = orders.has_more || orders.is_cut;
    let made = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        xlsx_file::workbook(&rows, is_cut, style, &about)
    });
    match made.await {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(error)) => {
            tracing::error!(%error, "a workbook could not be made");
            Err(Refusal::Defect)
        }
        Err(_panic) => Err(Refusal::Defect),
    }
}

/// A body that comes in pieces. One that broke off is told as such: the connection ends before its end.
struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = self.0.poll_recv(cx);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_by_what_is_in_it() {
        let today = period::read("2026-11-26").expect("a day");
        for (query, due) in [
            ("", "orders-2026-11-26-shop"),
            (
                "from=2026-11-16&to=22.11.2026",
                "orders-2026-11-16_2026-11-22-shop",
            ),
            (
                "from=2026-11-16&to=2026-11-16&status=new",
                "orders-2026-11-16-new-shop",
            ),
            ("from=2026-11-16", "orders-2026-11-16_2026-11-26-shop"),
            ("to=2026-11-22", "orders-until-2026-11-22-shop"),
        ] {
            let uri = format!("http://a/?{query}").parse().expect("a URI");
            let asked: axum::extract::Query<Asked> =
                axum::extract::Query::try_from_uri(&uri).expect("a query");
            assert_eq!(file_name("shop", &asked.0, today), due);
        }
        let all = file_name("доставка", &Asked::default(), today);
        assert_eq!(all, "orders-2026-11-26");
    }

    #[test]
    fn a_phone_is_written_as_people_type_it() {
        assert_eq!(phone("+79083280832"), "8 908 328-08-32");
        assert_eq!(phone("+4915112345678"), "+4915112345678");
    }
}
