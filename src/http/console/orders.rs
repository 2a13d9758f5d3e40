//! The list of orders, and the search.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header, request},
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;

use super::{
    Console,
    as_it_came::Person,
    kept::{about, shown_key},
    page::{Notice, Page, Section, base, encoded, render},
    period,
    refusal::Refusal,
    search::{self, Wanted},
    session::{Desk, is_secure},
    shown,
    texts::{Texts, texts},
};
use crate::{
    order::{fault::Language, model::Status, reply, zone::Zone},
    store::{
        console::{
            LOOKED_AT, MOST_FOUND, OrderRow, OrdersCount, OrdersFilter, OrdersPage, PICKED,
            Position,
        },
        journal::Filter,
    },
};

const ROWS: usize = 50;
/// Rejected orders that a search shows.
const REFUSED: usize = 20;

#[derive(Template)]
#[template(path = "orders.html")]
struct ListPage {
    page: Page,
    base: String,
    tabs: Vec<Tab>,
    /// Today, yesterday, …
    periods: Vec<Tab>,
    asked: Asked,
    /// Whether nothing is listed, for the filter cannot be read.
    is_unreadable: bool,
    /// What was searched for; `None`: nothing, it is the list.
    searched: Option<String>,
    /// Rejected orders that were found.
    refused: Vec<RefusedOrder>,
    /// Where more wait than were looked at.
    refused_cut: Option<String>,
    call: Option<Call>,
    /// How many there are in all.
    counted: String,
    rows: Vec<Row>,
    /// The query of the next page.
    older: Option<String>,
    is_first: bool,
}

struct Tab {
    title: &'static str,
    query: String,
    is_current: bool,
}

/// An order as it is shown.
struct Row {
    number: i32,
    sender_id: String,
    created: String,
    delivery: String,
    client: String,
    phone: String,
    address: String,
    total: String,
    status: &'static str,
    status_class: &'static str,
    receiver_number: Option<String>,
    not_taken: bool,
    withheld: bool,
    put_aside: bool,
    unmatched: bool,
    with_remarks: bool,
    /// An order that it may be the same as.
    double: Option<i32>,
}

/// The filter as it stands in the URL.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    status: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    not_taken: String,
    #[serde(default)]
    unmatched: String,
    #[serde(default)]
    remarks: String,
    #[serde(default)]
    withheld: String,
    #[serde(default)]
    after: String,
}

/// Why a filter finds nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable<'a> {
    NoSuchDay(&'a str),
    /// The last day comes before the first one.
    Reversed,
    NoSuchStatus(&'a str),
}

impl Unreadable<'_> {
    pub fn told(&self, t: &Texts) -> String {
        // Of what a person typed nothing is longer.
        let short = |text: &str| text.chars().take(40).collect::<String>();
        match self {
            Self::NoSuchDay(text) => t.no_such_day.replace("{}", &short(text)),
            Self::Reversed => t.days_reversed.to_owned(),
            Self::NoSuchStatus(text) => t.no_such_status.replace("{}", &short(text)),
        }
    }
}

impl Asked {
    pub fn filter(&self, zone: Zone) -> Result<OrdersFilter, Unreadable<'_>> {
        let status = Some(self.status.as_str()).filter(|text| !text.is_empty());
        let status = status.map(|text| Status::parse(text).ok_or(Unreadable::NoSuchStatus(text)));
        let [since, until] = days(&self.from, &self.to, zone)?;
        Ok(OrdersFilter {
            status: status.transpose()?,
            since,
            until,
            not_taken: !self.not_taken.is_empty(),
            unmatched: !self.unmatched.is_empty(),
            with_remarks: !self.remarks.is_empty(),
            withheld: !self.withheld.is_empty(),
        })
    }

    /// Whether more is asked for than a status.
    fn has_more(&self) -> bool {
        [
            &self.from,
            &self.to,
            &self.not_taken,
            &self.unmatched,
            &self.remarks,
            &self.withheld,
        ]
        .iter()
        .any(|value| !value.is_empty())
    }

    /// What is asked for, without the page.
    pub fn parameters(&self) -> [(&'static str, &str); 7] {
        [
            ("status", &self.status),
            ("from", &self.from),
            ("to", &self.to),
            ("not_taken", &self.not_taken),
            ("unmatched", &self.unmatched),
            ("remarks", &self.remarks),
            ("withheld", &self.withheld),
        ]
    }

    /// The first day and the last one.
    pub fn days(&self) -> (Option<NaiveDate>, Option<NaiveDate>) {
        (period::read(&self.from), period::read(&self.to))
    }

    /// The same with the days as a browser's field shows them.
    fn in_iso(mut self) -> Self {
        for text in [&mut self.from, &mut self.to] {
            if let Some(day) = period::read(text) {
                *text = day.to_string();
            }
        }
        self
    }

    fn query(&self, status: &str, after: Option<Position>) -> String {
        let after = after.map_or_else(String::new, |after| {
            format!("{}.{}", after.created_at.timestamp_micros(), after.number)
        });
        let mut parameters = self.parameters();
        parameters[0].1 = status;
        let set = parameters.into_iter().chain([("after", &*after)]);
        let set = set.filter(|(_, value)| !value.is_empty());
        let query = set.map(|(name, value)| format!("{name}={}", encoded(value)));
        format!("?{}", query.collect::<Vec<_>>().join("&"))
    }

    fn after(&self) -> Option<Position> {
        let (micros, number) = self.after.split_once('.')?;
        Some(Position {
            created_at: DateTime::from_timestamp_micros(micros.parse().ok()?)?,
            number: number.parse().ok()?,
        })
    }
}

/// When the first of these days begins, and when the last one is over.
pub(super) fn days<'a>(
    from: &'a str,
    to: &'a str,
    zone: Zone,
) -> Result<[Option<DateTime<Utc>>; 2], Unreadable<'a>> {
    let (first, last) = (day(from)?, day(to)?);
    if first.zip(last).is_some_and(|(first, last)| first > last) {
        return Err(Unreadable::Reversed);
    }
    let since = first.map(|first| period::begin(first, zone).ok_or(Unreadable::NoSuchDay(from)));
    let until = last.map(|last| period::end(last, zone).ok_or(Unreadable::NoSuchDay(to)));
    Ok([since.transpose()?, until.transpose()?])
}

fn day(text: &str) -> Result<Option<NaiveDate>, Unreadable<'_>> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = period::read(text).ok_or(Unreadable::NoSuchDay(text))?;
    Ok(Some(day))
}

pub(super) async fn list(desk: Desk, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let (publication, language) = (&desk.publication, desk.visit.language);
    let asked = asked.in_iso();
    let filter = match asked.filter(publication.rules.timezone) {
        Ok(filter) => filter,
        Err(why) => return Ok(nothing_listed(&desk, &asked, &why)),
    };
    let after = asked.after();
    let (count, found) = desk
        .store()
        .count_and_list_orders(&publication.name, &desk.targets, &filter, after, ROWS)
        .await?;
    let last = found.rows.last().filter(|_| found.has_more);
    let last = last.map(|row| Position {
        created_at: row.created_at,
        number: row.number,
    });
    let notice = found.is_cut.then(|| {
        let t = texts(language);
        Notice::note(t.picked_cut.replace("{}", &PICKED.to_string()))
    });
    let page = ListPage {
        older: last.map(|last| asked.query(&asked.status, Some(last))),
        is_first: after.is_none(),
        counted: told(count, language),
        rows: rows(&desk, found).await?,
        ..ListPage::of(&desk, asked, notice)
    };
    Ok(render(StatusCode::OK, &page))
}

/// The page with what was asked for, and why it finds nothing.
pub(super) fn nothing_listed(desk: &Desk, asked: &Asked, why: &Unreadable<'_>) -> Response {
    let notice = Notice::bad(why.told(texts(desk.visit.language)));
    let page = ListPage {
        is_unreadable: true,
        ..ListPage::of(desk, asked.clone(), Some(notice))
    };
    render(StatusCode::BAD_REQUEST, &page)
}

/// `137 заказов на 188 960 ₽`; of more than are counted, that they are more.
fn told(count: OrdersCount, language: Language) -> String {
    let t = texts(language);
    if count.orders > MOST_FOUND {
        return t
            .more_found
            .replace("{}", &shown::count(MOST_FOUND, language));
    }
    let text = t
        .found
        .replacen("{}", &shown::count(count.orders, language), 1);
    text.replacen("{}", &shown::money(count.total, language), 1)
}

impl ListPage {
    /// Without orders.
    fn of(desk: &Desk, asked: Asked, notice: Option<Notice>) -> Self {
        let t = texts(desk.visit.language);
        let of_status = Status::ALL.into_iter().map(|status| Tab {
            title: t.statuses(status),
            query: asked.query(status.as_str(), None),
            is_current: asked.status == status.as_str(),
        });
        let all = Tab {
            title: t.all,
            query: asked.query("", None),
            is_current: asked.status.is_empty(),
        };
        let zone = desk.publication.rules.timezone;
        let usual = period::usual(zone.local(Utc::now()).date_naive());
        let periods = [t.today, t.yesterday, t.last_week].into_iter().zip(usual);
        let days = asked.days();
        let periods = periods.map(|(title, (first, last))| {
            let asked = Asked {
                from: first.to_string(),
                to: last.to_string(),
                ..asked.clone()
            };
            Tab {
                title,
                query: asked.query(&asked.status, None),
                is_current: days == (Some(first), Some(last)),
            }
        });
        Self {
            tabs: std::iter::once(all).chain(of_status).collect(),
            periods: periods.collect(),
            page: Page::of(desk, Section::Orders, t.orders).with(notice),
            base: base(&desk.publication.name),
            asked,
            is_unreadable: false,
            searched: None,
            refused: Vec::new(),
            refused_cut: None,
            call: None,
            counted: String::new(),
            rows: Vec::new(),
            older: None,
            is_first: true,
        }
    }
}

/// What is shown of these orders.
async fn rows(desk: &Desk, found: OrdersPage) -> Result<Vec<Row>, Refusal> {
    let t = texts(desk.visit.language);
    let publication = &desk.publication;
    let numbers: Vec<i32> = found.rows.iter().map(|row| row.number).collect();
    let doubles = desk
        .store()
        .doubles(&publication.name, &numbers, publication.double_minutes)
        .await?;
    let rows = found.rows.into_iter().map(|row| Row {
        double: (doubles.iter().find(|double| double.number == row.number))
            .map(|double| double.other),
        ..Row::of(row, desk, t)
    });
    Ok(rows.collect())
}

#[derive(Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    q: String,
}

/// The search. By POST: what is typed may be a phone or a name, and those are in no URL. What it finds is a page of its own, which
/// the browser comes back to; what was typed goes there in a cookie.
pub(super) async fn search(
    State(console): State<Arc<Console>>,
    desk: Desk,
    head: request::Parts,
    Form(typed): Form<Typed>,
) -> Result<Response, Refusal> {
    let list = format!("{}/orders", base(&desk.publication.name));
    let Some(found) = find(&desk, &typed.q).await? else {
        return Ok(Redirect::to(&list).into_response());
    };
    match (&found.orders.rows[..], &found.refused[..]) {
        _ if found.call.is_some() => {}
        ([only], []) if !found.orders.has_more => {
            return Ok(Redirect::to(&format!("{list}/{}", only.number)).into_response());
        }
        ([], [refused]) => return Ok(Redirect::to(&refused.href).into_response()),
        _ => {}
    }
    let cookie = search::cookie(&typed.q, is_secure(&console, &head));
    let to = Redirect::to(&format!("{list}/found"));
    Ok(([(header::SET_COOKIE, cookie)], to).into_response())
}

/// What was found by what was searched for last.
pub(super) async fn found(desk: Desk, headers: HeaderMap) -> Result<Response, Refusal> {
    let list = format!("{}/orders", base(&desk.publication.name));
    let typed = search::typed(&headers).unwrap_or_default();
    let Some(found) = find(&desk, &typed).await? else {
        return Ok(Redirect::to(&list).into_response());
    };
    let t = texts(desk.visit.language);
    let notice = if found.orders.is_cut {
        Some(Notice::note(t.search_cut))
    } else if found.orders.has_more {
        Some(Notice::note(t.search_more))
    } else {
        None
    };
    let page = ListPage {
        searched: Some(typed),
        refused: found.refused,
        call: found.call,
        refused_cut: found.refused_are_cut.then(|| {
            let looked_at = shown::count(LOOKED_AT, desk.visit.language);
            t.found_refused_cut.replace("{}", &looked_at)
        }),
        rows: rows(&desk, found.orders).await?,
        ..ListPage::of(&desk, Asked::default(), notice)
    };
    Ok(render(StatusCode::OK, &page))
}

struct Found {
    orders: OrdersPage,
    /// Orders that were rejected, and are not among them.
    refused: Vec<RefusedOrder>,
    /// Whether more wait than were looked at.
    refused_are_cut: bool,
    /// The call whose X-Request-Id was typed.
    call: Option<Call>,
}

/// A call, and those of its orders that are kept as they came.
struct Call {
    request_id: String,
    received: String,
    who: String,
    /// Titles and numbers.
    counts: Vec<(&'static str, i32)>,
    is_dry_run: bool,
    kept: Vec<(String, String)>,
}

async fn call(desk: &Desk, typed: &str) -> Result<Option<Call>, Refusal> {
    let Some((id, made_at)) = search::request_id(typed) else {
        return Ok(None);
    };
    let (name, store) = (&desk.publication.name, desk.store());
    let Some(call) = store.call_of_request(name, id, made_at).await? else {
        return Ok(None);
    };
    let filter = Filter {
        limit: i64::try_from(REFUSED).unwrap_or(i64::MAX),
        ..Filter::default()
    };
    let kept = store
        .journal_orders(name, Some(call.batch), &filter)
        .await?;
    let t = texts(desk.visit.language);
    let kept = kept.into_iter().map(|kept| {
        let href = format!("{}/kept/{}/{}", base(name), kept.batch, kept.position);
        (href, shown_key(&kept.order_key, t))
    });
    Ok(Some(Call {
        received: shown::moment(call.received_at, desk.publication.rules.timezone),
        who: call.login.unwrap_or_else(|| t.by_sender.to_owned()),
        counts: vec![
            (t.orders, call.orders),
            (t.accepted, call.accepted),
            (t.rejected, call.rejected),
            (t.with_remarks, call.with_remarks),
        ],
        is_dry_run: call.dry_run,
        kept: kept.collect(),
        request_id: call.request_id,
    }))
}

/// An order that is not stored, for it was rejected.
struct RefusedOrder {
    key: String,
    href: String,
    /// Whose it is and what it costs, as it came.
    about: Vec<String>,
    received: String,
    /// Whether nobody need look at it any more.
    is_settled: bool,
}

/// Orders by what was typed; `None`: nothing was.
async fn find(desk: &Desk, typed: &str) -> Result<Option<Found>, Refusal> {
    let publication = &desk.publication;
    let region = publication.rules.phone_region;
    let Some(search) = search::read(typed, region) else {
        return Ok(None);
    };
    let (name, store) = (&publication.name, desk.store());
    let orders = store
        .search_orders(name, &desk.targets, &search, ROWS)
        .await?;
    let filter = Filter {
        order_key: Some(search.id.unwrap_or_default()),
        rejected: Some(true),
        limit: 1,
        ..Filter::default()
    };
    let called = store.journal_orders(name, None, &filter).await?;
    // What became of a stored order is told on its page. Orders without an id have nothing in common.
    let called = called
        .into_iter()
        .find(|kept| kept.order_number.is_none() && kept.has_id());
    // Of those by whom or to whom they are: those that wait. Others came to something.
    let (waiting, refused_are_cut) = match Wanted::of(typed, region) {
        Some(wanted) => {
            let is_his = |body: &str| Person::of(body).is(&wanted, region);
            store.search_kept(name, is_his, REFUSED).await?
        }
        None => (Vec::new(), false),
    };
    let t = texts(desk.visit.language);
    let zone = publication.rules.timezone;
    let href = |batch, position| format!("{}/kept/{batch}/{position}", base(name));
    let called = called.map(|kept| RefusedOrder {
        href: href(kept.batch, kept.position),
        about: about(&kept.body),
        received: shown::moment(kept.received_at, zone),
        is_settled: kept.settled_at.is_some(),
        key: kept.order_key,
    });
    let waiting = waiting.into_iter().map(|row| RefusedOrder {
        href: href(row.batch, row.position),
        about: row.body.as_deref().map_or_else(Vec::new, about),
        received: shown::moment(row.received_at, zone),
        is_settled: false,
        key: shown_key(&row.order_key, t),
    });
    let mut refused: Vec<RefusedOrder> = called.into_iter().collect();
    for order in waiting {
        if refused.iter().all(|known| known.href != order.href) {
            refused.push(order);
        }
    }
    Ok(Some(Found {
        orders,
        refused,
        refused_are_cut,
        call: call(desk, typed).await?,
    }))
}

/// How a status looks.
pub(super) fn status_class(status: Status) -> &'static str {
    match status {
        Status::New => "new",
        Status::Approved => "info",
        Status::Completed => "good",
        Status::Removed => "none",
    }
}

impl Row {
    fn of(row: OrderRow, desk: &Desk, t: &'static Texts) -> Self {
        let zone = desk.publication.rules.timezone;
        let status = Status::parse(&row.status);
        Self {
            number: row.number,
            sender_id: row.sender_id,
            created: shown::moment(row.created_at, zone),
            delivery: shown::window(row.shipping_date_from, row.shipping_date_to, zone),
            client: shown::or_erased(row.client, t),
            phone: row.phone.as_deref().map_or_else(String::new, shown::phone),
            address: shown::or_erased(reply::address_name(&row.shipping_address, None), t),
            total: shown::money(row.total, desk.visit.language),
            status: status.map_or("", |status| t.status(status)),
            status_class: status.map_or("", status_class),
            receiver_number: row.receiver_number,
            not_taken: row.not_taken.is_some(),
            withheld: row.withheld,
            put_aside: row.put_aside,
            unmatched: row.unmatched,
            with_remarks: row.with_remarks,
            double: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_goes_into_the_url_and_comes_back() {
        let asked = Asked {
            from: "2026-11-26".into(),
            to: "2026-11-26".into(),
            not_taken: "1".into(),
            ..Asked::default()
        };
        let zone = crate::order::zone::zone("Europe/Moscow");
        let filter = asked.filter(zone).expect("a filter");
        let at = |text: &str| Some(text.parse().expect("a moment"));
        assert_eq!(filter.since, at("2026-11-25T21:00:00Z"));
        assert_eq!(filter.until, at("2026-11-26T21:00:00Z"));
        assert!(filter.not_taken && !filter.unmatched);
        let position = Position {
            created_at: "2026-11-26T10:00:00.123456Z".parse().expect("a moment"),
            number: 7,
        };
        let query = asked.query("new", Some(position));
        assert_eq!(
            query,
            "?status=new&from=2026%2D11%2D26&to=2026%2D11%2D26&not%5Ftaken=1&after=1795687200123456%2E7"
                .replace("not%5Ftaken", "not_taken")
        );
        let back: Asked = serde_urlencoded_of(&query);
        assert_eq!(back.after(), Some(position));
        assert_eq!(back.filter(zone).expect("a filter").since, filter.since);
    }

    fn serde_urlencoded_of(query: &str) -> Asked {
        let uri = format!("http://a/{query}").parse().expect("a URI");
        Query::try_from_uri(&uri).expect("a query").0
    }

    #[test]
    fn what_cannot_be_read_finds_nothing_and_is_told() {
        let zone = crate::order::zone::zone("Europe/Moscow");
        let days = |from: &str, to: &str| Asked {
            from: from.into(),
            to: to.into(),
            ..Asked::default()
        };
        for (asked, due) in [
            (days("abc", ""), Unreadable::NoSuchDay("abc")),
            (days("", "2026-02-31"), Unreadable::NoSuchDay("2026-02-31")),
            (
                days("", "262142-12-31"),
                Unreadable::NoSuchDay("262142-12-31"),
            ),
            (days("2026-11-22", "16.11.2026"), Unreadable::Reversed),
        ] {
            assert_eq!(asked.filter(zone).expect_err("nothing"), due);
        }
        let status = Asked {
            status: "lost".into(),
            after: "1.x".into(),
            ..Asked::default()
        };
        let why = status.filter(zone).expect_err("nothing");
        assert_eq!(why, Unreadable::NoSuchStatus("lost"));
        assert_eq!(status.after(), None);
        let typed = days("22.11.2026", "23.11.2026").in_iso();
        assert_eq!((&*typed.from, &*typed.to), ("2026-11-22", "2026-11-23"));
        assert!(typed.filter(zone).is_ok());
    }
}
