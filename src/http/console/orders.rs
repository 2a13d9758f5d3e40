//! The list of orders, and the search.

use askama::Template;
use axum::{
    Form,
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::Deserialize;

use super::{
    page::{Notice, Page, Section, base, encoded, render},
    refusal::Refusal,
    search,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    order::{datetime, model::Status, reply, zone::Zone},
    store::console::{OrderRow, OrdersFilter, OrdersPage, PICKED, Position},
};

const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "orders.html")]
struct ListPage {
    page: Page,
    base: String,
    tabs: Vec<Tab>,
    asked: Asked,
    /// What was searched for; `None`: nothing, it is the list.
    searched: Option<String>,
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
    after: String,
}

impl Asked {
    /// Without what cannot be read: the page shows what it was filtered by, and no more.
    pub fn readable(mut self, zone: Zone) -> Self {
        if Status::parse(&self.status).is_none() {
            self.status.clear();
        }
        for (text, later) in [(&mut self.from, 0), (&mut self.to, 1)] {
            if day(text, later, zone).is_none() {
                text.clear();
            }
        }
        self
    }

    pub fn filter(&self, zone: Zone) -> OrdersFilter {
        OrdersFilter {
            status: Status::parse(&self.status),
            since: day(&self.from, 0, zone),
            // The day itself is in it.
            until: day(&self.to, 1, zone),
            not_taken: !self.not_taken.is_empty(),
            unmatched: !self.unmatched.is_empty(),
            with_remarks: !self.remarks.is_empty(),
        }
    }

    /// Whether more is asked for than a status.
    fn has_more(&self) -> bool {
        [
            &self.from,
            &self.to,
            &self.not_taken,
            &self.unmatched,
            &self.remarks,
        ]
        .iter()
        .any(|value| !value.is_empty())
    }

    /// What is asked for, without the page.
    pub fn parameters(&self) -> [(&'static str, &str); 6] {
        [
            ("status", &self.status),
            ("from", &self.from),
            ("to", &self.to),
            ("not_taken", &self.not_taken),
            ("unmatched", &self.unmatched),
            ("remarks", &self.remarks),
        ]
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

/// The beginning of that day, or of one some days later.
fn day(text: &str, later: i64, zone: Zone) -> Option<DateTime<Utc>> {
    let date: NaiveDate = text.parse().ok()?;
    let date = date.checked_add_signed(TimeDelta::days(later))?;
    let text = date
        .and_time(NaiveTime::MIN)
        .format("%Y-%m-%d %H:%M")
        .to_string();
    datetime::parse(&text, zone).ok()
}

pub(super) async fn list(desk: Desk, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let publication = &desk.publication;
    let zone = publication.rules.timezone;
    let asked = asked.readable(zone);
    let filter = asked.filter(zone);
    let after = asked.after();
    let found = desk
        .store()
        .list_orders(&publication.name, &filter, after, ROWS)
        .await?;
    let last = found.rows.last().filter(|_| found.has_more);
    let last = last.map(|row| Position {
        created_at: row.created_at,
        number: row.number,
    });
    let older = last.map(|last| asked.query(&asked.status, Some(last)));
    let page = ListPage {
        older,
        is_first: after.is_none(),
        ..ListPage::of(&desk, asked, found, None).await?
    };
    Ok(render(StatusCode::OK, &page))
}

#[derive(Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    q: String,
}

/// The search. By POST: what is typed may be a phone or a name, and those are in no URL.
pub(super) async fn search(desk: Desk, Form(typed): Form<Typed>) -> Result<Response, Refusal> {
    let publication = &desk.publication;
    let list = format!("{}/orders", base(&publication.name));
    let Some(search) = search::read(&typed.q, publication.rules.phone_region) else {
        return Ok(Redirect::to(&list).into_response());
    };
    let found = desk
        .store()
        .search_orders(&publication.name, &search, ROWS)
        .await?;
    if let ([only], false) = (&found.rows[..], found.has_more) {
        return Ok(Redirect::to(&format!("{list}/{}", only.number)).into_response());
    }
    let page = ListPage::of(&desk, Asked::default(), found, Some(typed.q)).await?;
    Ok(render(StatusCode::OK, &page))
}

impl ListPage {
    async fn of(
        desk: &Desk,
        asked: Asked,
        found: OrdersPage,
        searched: Option<String>,
    ) -> Result<Self, Refusal> {
        let t = texts(desk.visit.language);
        let is_all = searched.is_none() && Status::parse(&asked.status).is_none();
        let of_status = Status::ALL.into_iter().map(|status| Tab {
            title: t.statuses(status),
            query: asked.query(status.as_str(), None),
            is_current: asked.status == status.as_str(),
        });
        let all = Tab {
            title: t.all,
            query: asked.query("", None),
            is_current: is_all,
        };
        let notice = if found.is_cut && searched.is_some() {
            Some(Notice::note(t.search_cut))
        } else if found.has_more && searched.is_some() {
            Some(Notice::note(t.search_more))
        } else if found.is_cut {
            Some(Notice::note(
                t.picked_cut.replace("{}", &PICKED.to_string()),
            ))
        } else {
            None
        };
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
        Ok(Self {
            tabs: std::iter::once(all).chain(of_status).collect(),
            rows: rows.collect(),
            page: Page::of(desk, Section::Orders, t.orders).with(notice),
            base: base(&desk.publication.name),
            asked,
            searched,
            older: None,
            is_first: true,
        })
    }
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
            not_taken: row.not_taken,
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
        let filter = asked.filter(zone);
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
        assert_eq!(back.filter(zone).since, filter.since);
    }

    fn serde_urlencoded_of(query: &str) -> Asked {
        let uri = format!("http://a/{query}").parse().expect("a URI");
        Query::try_from_uri(&uri).expect("a query").0
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        let asked = Asked {
            status: "lost".into(),
            from: "yesterday".into(),
            to: "262143-12-31".into(),
            after: "1.x".into(),
            ..Asked::default()
        };
        let filter = asked.filter(crate::order::zone::zone("Europe/Moscow"));
        assert!(filter.status.is_none() && filter.since.is_none() && filter.until.is_none());
        assert_eq!(asked.after(), None);
    }
}
