//! Who did what: the operators' journal, an admin's to see.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Console,
    escape::visible,
    export::{Cell, Days, Export, Format, STEP, Sheet, Source, joined, noted, orders, send},
    orders::{Unreadable, days},
    page::{Notice, Page, Section, base, encoded, render},
    period,
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    order::{fault::Language, model::Status, zone::Zone},
    store::{
        self, Store,
        console::{ACTIONS_LOOKED_AT, ActionRow, ActionsFilter, ActionsOf},
    },
};

const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "actions.html")]
struct ActionsPage {
    page: Page,
    base: String,
    asked: Asked,
    people: Vec<Tab>,
    people_cut: Option<String>,
    rows: Vec<Row>,
    /// The query of the next page.
    older: Option<String>,
}

struct Tab {
    title: String,
    count: Option<String>,
    query: String,
    is_current: bool,
}

struct Row {
    when: String,
    login: String,
    what: String,
    details: String,
    /// Where what it was about is, if not on an order's page.
    href: Option<String>,
    order: Option<i32>,
}

/// The filter as it stands in the URL.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    login: String,
    /// The first day, and the last one.
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    before: Option<Uuid>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    format: String,
    #[serde(flatten)]
    asked: Asked,
}

impl Asked {
    fn parameters(&self) -> [(&'static str, &str); 3] {
        [
            ("login", self.login.as_str()),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    fn days(&self) -> Days {
        (period::read(&self.from), period::read(&self.to))
    }

    fn filter(&self, zone: Zone) -> Result<ActionsFilter, Unreadable<'_>> {
        let [since, until] = days(&self.from, &self.to, zone)?;
        Ok(ActionsFilter {
            login: Some(self.login.clone()).filter(|login| !login.is_empty()),
            since,
            until,
        })
    }

    /// The query of the same days, of one person's actions before that one.
    fn query(&self, login: &str, before: Option<Uuid>) -> String {
        let before = before.map_or_else(String::new, |before| before.to_string());
        let all = [
            ("login", login),
            ("from", &self.from),
            ("to", &self.to),
            ("before", &before),
        ];
        let all = all.into_iter().filter(|(_, value)| !value.is_empty());
        let all = all.map(|(name, value)| format!("{name}={}", encoded(value)));
        format!("?{}", all.collect::<Vec<_>>().join("&"))
    }
}

/// The page without a row.
fn empty(desk: &Desk, asked: &Asked, notice: Option<Notice>) -> ActionsPage {
    let t = texts(desk.visit.language);
    ActionsPage {
        people: Vec::new(),
        people_cut: None,
        rows: Vec::new(),
        older: None,
        base: base(&desk.publication.name),
        page: Page::of(desk, Section::Actions, t.actions).with(notice),
        asked: asked.clone(),
    }
}

fn nothing_listed(desk: &Desk, asked: &Asked, why: &Unreadable<'_>) -> Response {
    let notice = Notice::bad(why.told(texts(desk.visit.language)));
    let page = empty(desk, asked, Some(notice));
    render(StatusCode::BAD_REQUEST, &page)
}

pub(super) async fn show(desk: Desk, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let (publication, store) = (&desk.publication, desk.store());
    let (name, zone) = (publication.name.as_str(), publication.rules.timezone);
    let language = desk.visit.language;
    let t = texts(language);
    let filter = match asked.filter(zone) {
        Ok(filter) => filter,
        Err(why) => return Ok(nothing_listed(&desk, &asked, &why)),
    };
    let mut page = empty(&desk, &asked, None);
    let found = store
        .operator_actions(name, &filter, asked.before, ROWS)
        .await?;
    let people = store.actions_by_login(name, &filter).await?;
    let counted: i64 = people.iter().map(|of| of.actions).sum();
    page.people_cut = (counted >= ACTIONS_LOOKED_AT).then(|| {
        let counted = shown::count(ACTIONS_LOOKED_AT, language);
        t.actions_cut.replace("{}", &counted)
    });
    let person = |of: ActionsOf| Tab {
        query: asked.query(&of.login, None),
        is_current: asked.login == of.login,
        count: Some(shown::count(of.actions, language)),
        title: of.login,
    };
    let anybody = Tab {
        title: t.anybody.to_owned(),
        count: None,
        query: asked.query("", None),
        is_current: asked.login.is_empty(),
    };
    page.people = [anybody]
        .into_iter()
        .chain(people.into_iter().map(person))
        .collect();
    page.older = found.next.map(|next| asked.query(&asked.login, Some(next)));
    let products = products_of(store, name, &found.rows).await?;
    let base = base(name);
    let rows = found.rows.into_iter().map(|row| Row {
        when: shown::exact_moment(row.made_at, zone),
        details: details(&row, &products, t),
        href: about(&row, &base),
        login: row.login,
        what: t.action(&row.kind).to_owned(),
        order: row.order_number,
    });
    page.rows = rows.collect();
    Ok(render(StatusCode::OK, &page))
}

/// The page of the client or of the sender's product.
fn about(row: &ActionRow, base: &str) -> Option<String> {
    let client = row.details["client"].as_i64();
    let product = row.details["product_id"].as_str();
    let client = client.map(|number| format!("{base}/clients/{number}"));
    client.or_else(|| Some(format!("{base}/unmatched/product?id={}", encoded(product?))))
}

/// What our products are called that these were about.
async fn products_of(
    store: &Store,
    publication: &str,
    rows: &[ActionRow],
) -> Result<HashMap<i32, String>, store::Error> {
    let numbers: Vec<i32> = rows.iter().filter_map(product).collect();
    store.product_names(publication, &numbers).await
}

/// Our number of the product that it was about.
fn product(row: &ActionRow) -> Option<i32> {
    let number = row.details["product"].as_i64()?;
    i32::try_from(number).ok()
}

/// From what to what, where to, or what of.
fn details(row: &ActionRow, products: &HashMap<i32, String>, t: &Texts) -> String {
    let details = &row.details;
    let status = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        Status::parse(text).map_or_else(|| text.to_owned(), |status| t.status(status).to_owned())
    };
    let part = |name: &str| details.get(name).and_then(Value::as_str);
    let count = |name: &str| details.get(name).and_then(Value::as_i64);
    if let Some(change) = details.get("status") {
        format!("{} → {}", status(&change[0]), status(&change[1]))
    } else if let Some(filter) = details.get("filter") {
        let format = part("format").unwrap_or_default().to_uppercase();
        let filter = match row.kind.as_str() {
            "export_actions" => told(filter, t),
            _ => orders::told(filter, t),
        };
        format!("{format}: {filter}")
    } else if let Some(target) = part("target") {
        let orders = count("orders").map_or_else(String::new, |orders| {
            format!(", {}: {orders}", t.orders.to_lowercase())
        });
        format!("→ {target}{orders}")
    } else if let Some(id) = part("product_id") {
        let product = product(row).map_or_else(String::new, |number| {
            let name = products.get(&number).map_or("", String::as_str);
            format!(" → {number} {name}").trim_end().to_owned()
        });
        let lines = count("lines").map_or_else(String::new, |lines| {
            format!(", {}", t.lines_filled.replace("{}", &lines.to_string()))
        });
        format!("{id}{product}{lines}")
    } else if let Some(client) = details.get("client") {
        client.to_string()
    } else {
        part("order").unwrap_or_default().to_owned()
    }
}

/// The filter of an export as people read it.
fn told(filter: &Value, t: &Texts) -> String {
    let part = |name: &str| filter.get(name).and_then(Value::as_str);
    joined(
        [
            part("login").map(str::to_owned),
            part("from").map(|text| format!("{} {}", t.done_from, period::told(text))),
            part("to").map(|text| format!("{} {}", t.done_to, period::told(text))),
        ],
        t,
    )
}

const COLUMNS: usize = 5;
const WIDTHS: [f64; COLUMNS] = [20.0, 18.0, 30.0, 60.0, 9.0];

/// The actions of an export, the newest first.
struct Actions {
    store: Store,
    publication: String,
    filter: ActionsFilter,
    language: Language,
    before: Option<Uuid>,
    has_more: bool,
}

impl Source<COLUMNS> for Actions {
    async fn next(&mut self) -> Result<Vec<[Cell; COLUMNS]>, store::Error> {
        let t = texts(self.language);
        let text = |text: &str| Cell::Text(visible(text).into_owned());
        // Of one person there may be none among as many as are looked at.
        while self.has_more {
            let (name, before) = (self.publication.as_str(), self.before);
            let found = self
                .store
                .operator_actions(name, &self.filter, before, STEP)
                .await?;
            self.before = found.next;
            self.has_more = found.next.is_some();
            let products = products_of(&self.store, name, &found.rows).await?;
            let cells = found.rows.iter().map(|row| {
                [
                    Cell::ExactMoment(row.made_at),
                    text(&row.login),
                    text(t.action(&row.kind)),
                    text(&details(row, &products, t)),
                    row.order_number.map_or(Cell::Empty, Cell::Number),
                ]
            });
            let cells: Vec<_> = cells.collect();
            if !cells.is_empty() {
                return Ok(cells);
            }
        }
        Ok(Vec::new())
    }

    fn is_cut(&self) -> bool {
        self.has_more
    }
}

pub(super) async fn export(
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
    let source = Actions {
        store: desk.store().clone(),
        publication: desk.publication.name.clone(),
        filter,
        language,
        before: None,
        has_more: true,
    };
    let sheet = Sheet {
        name: t.actions,
        titles: [t.when, t.who, t.what, t.details, t.order],
        widths: WIDTHS,
        summed: None,
        cut: t.actions_export_cut,
    };
    let filter = noted(asked.parameters());
    let export = Export {
        format,
        sheet,
        source,
        what: "actions",
        days: asked.days(),
        part: String::new(),
        told: told(&filter, t),
        filter,
    };
    send(&console, &desk, export).await
}
