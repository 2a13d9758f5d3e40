//! What a list shows, as a file: CSV, written while it is read, or XLSX, which is made in memory and bounded therefore. A file a list.

mod csv_file;
pub(super) mod orders;
mod xlsx_file;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, NaiveDate, Utc};
use hyper::body::Frame;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};

use super::{Console, refusal::Refusal, session::Desk, texts::Texts};
use crate::{
    order::{fault::Language, zone::Zone},
    store::{self, console::Act},
};

/// Exports that an instance makes at once.
pub(super) const AT_ONCE: usize = 2;
/// The newest so many rows are in a workbook.
pub(super) const MOST_IN_XLSX: usize = 20_000;
/// Rows that are read at once.
pub(super) const STEP: usize = 1_000;
/// How long a browser may take to fetch what was read.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Xlsx,
}

impl Format {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "csv" => Ok(Self::Csv),
            "xlsx" => Ok(Self::Xlsx),
            _ => Err(Refusal::NotFound),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }
}

/// How cells are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub zone: Zone,
    pub language: Language,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Empty,
    Number(i32),
    Amount(Decimal),
    Moment(DateTime<Utc>),
    /// With its seconds.
    ExactMoment(DateTime<Utc>),
    Text(String),
}

/// A table, besides its rows.
#[derive(Debug, Clone)]
pub(super) struct Sheet<const N: usize> {
    pub name: &'static str,
    pub titles: [&'static str; N],
    /// Of each column, in characters.
    pub widths: [f64; N],
    /// The column of amounts that is summed up, and what that is called.
    pub summed: Option<(usize, &'static str)>,
    /// What is said where older rows are left out.
    pub cut: &'static str,
}

/// Where the rows come from.
pub(super) trait Source<const N: usize>: Send + 'static {
    /// The next ones; empty at the end.
    fn next(&mut self) -> impl Future<Output = Result<Vec<[Cell; N]>, store::Error>> + Send;

    /// Whether there are rows that were not given.
    fn is_cut(&self) -> bool;
}

/// What is exported, and what is said of it.
pub(super) struct Export<const N: usize, S: Source<N>> {
    pub format: Format,
    pub sheet: Sheet<N>,
    pub source: S,
    /// What it is, for the file's name and the journal of operators.
    pub what: &'static str,
    /// The days that are in it, and what else the file's name says of it.
    pub days: Days,
    pub part: String,
    /// What was asked for, for that journal, and as people read it.
    pub filter: Value,
    pub told: String,
}

/// The first and the last day.
pub(super) type Days = (Option<NaiveDate>, Option<NaiveDate>);

/// What a list was asked for, for the journal of operators.
pub(super) fn noted<const N: usize>(parameters: [(&str, &str); N]) -> Value {
    let set = parameters.into_iter();
    let set = set.filter(|(_, value)| !value.is_empty());
    set.map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
}

/// The parts of that as people read them.
pub(super) fn joined<const N: usize>(parts: [Option<String>; N], t: &Texts) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        t.all.to_owned()
    } else {
        parts.join(", ")
    }
}

/// Answers with the file. Whatever fails before its first byte is told on a page, and nothing leaves before it is noted who took it.
pub(super) async fn send<const N: usize, S: Source<N>>(
    console: &Console,
    desk: &Desk,
    mut export: Export<N, S>,
) -> Result<Response, Refusal> {
    let permit = Arc::clone(&console.exports).try_acquire_owned();
    let permit = permit.map_err(|_all_taken| Refusal::ManyExports)?;
    let name = &desk.publication.name;
    let style = Style {
        zone: desk.publication.rules.timezone,
        language: desk.visit.language,
    };
    let first = export.source.next().await?;
    let format = export.format.as_str();
    let details = json!({ "format": format, "filter": export.filter });
    let act = Act::of(&desk.visit.user.login);
    let kind = format!("export_{}", export.what);
    desk.store().note_action(name, act, &kind, &details).await?;
    let now = desk.store().now().await?;
    let today = style.zone.local(now).date_naive();
    let file = file_name(export.what, export.days, [&export.part, name], today);
    let (kind, body) = match export.format {
        Format::Csv => {
            let (pieces, body) = mpsc::channel(1);
            let titles = export.sheet.titles;
            tokio::spawn(send_csv(
                titles,
                export.source,
                first,
                style,
                pieces,
                permit,
            ));
            ("text/csv; charset=utf-8", Body::new(Pieces(body)))
        }
        Format::Xlsx => {
            let about = xlsx_file::About {
                publication: name.clone(),
                login: desk.visit.user.login.clone(),
                made_at: now,
                filter: export.told,
            };
            let file = xlsx(export.sheet, export.source, first, style, about, permit).await?;
            let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
            (kind, Body::from(file))
        }
    };
    let file = format!("attachment; filename=\"{file}.{format}\"");
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

/// `orders-2026-11-16_2026-11-22-completed-shop`: the days that are in it, else the day of the export. What a file cannot be called,
/// such as a publication, is left out.
fn file_name(what: &str, days: Days, more: [&str; 2], today: NaiveDate) -> String {
    let days = match days {
        (None, None) => today.to_string(),
        (Some(first), Some(last)) if first == last => first.to_string(),
        (Some(first), last) => format!("{first}_{}", last.unwrap_or(today)),
        (None, Some(last)) => format!("until-{last}"),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let more = more.into_iter();
    let more = more.filter(|part| !part.is_empty() && part.chars().all(is_plain));
    more.fold(format!("{what}-{days}"), |name, part| {
        format!("{name}-{part}")
    })
}

/// Writes what is read, piece by piece, as fast as the browser fetches it.
async fn send_csv<const N: usize>(
    titles: [&'static str; N],
    mut source: impl Source<N>,
    first: Vec<[Cell; N]>,
    style: Style,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    _permit: OwnedSemaphorePermit,
) {
    let mut piece = csv_file::begin(titles).and_then(|mut begin| {
        begin.extend(csv_file::lines(first, style)?);
        Ok(begin)
    });
    loop {
        let is_broken = piece.is_err();
        let sent = timeout(PATIENCE, pieces.send(piece.map(Bytes::from))).await;
        if is_broken || !matches!(sent, Ok(Ok(()))) {
            // Nobody fetches it any more.
            return;
        }
        piece = match source.next().await {
            Ok(rows) if rows.is_empty() => return,
            Ok(rows) => csv_file::lines(rows, style),
            Err(error) => {
                tracing::error!(error = %error.in_full(), "an export broke off");
                // The browser tells that the file is not whole.
                Err(io::Error::other("the database did not answer"))
            }
        };
    }
}

async fn xlsx<const N: usize>(
    sheet: Sheet<N>,
    mut source: impl Source<N>,
    first: Vec<[Cell; N]>,
    style: Style,
    about: xlsx_file::About,
    permit: OwnedSemaphorePermit,
) -> Result<Vec<u8>, Refusal> {
    let mut rows = first;
    while rows.len() < MOST_IN_XLSX {
        let more = source.next().await?;
        if more.is_empty() {
            break;
        }
        rows.extend(more);
    }
    let is_cut = rows.len() > MOST_IN_XLSX || source.is_cut();
    rows.truncate(MOST_IN_XLSX);
    let made = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        xlsx_file::workbook(&sheet, &rows, is_cut, style, &about)
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
        let day = |text: &str| Some(text.parse::<NaiveDate>().expect("a day"));
        let (first, last) = (day("2026-11-16"), day("2026-11-22"));
        for (days, part, due) in [
            ((None, None), "", "orders-2026-11-26-shop"),
            ((first, last), "", "orders-2026-11-16_2026-11-22-shop"),
            ((first, first), "new", "orders-2026-11-16-new-shop"),
            ((first, None), "", "orders-2026-11-16_2026-11-26-shop"),
            ((None, last), "", "orders-until-2026-11-22-shop"),
            // No word that a file cannot be called by.
            ((None, None), "новые", "orders-2026-11-26-shop"),
        ] {
            let today = day("2026-11-26").expect("a day");
            assert_eq!(file_name("orders", days, [part, "shop"], today), due);
        }
    }
}
