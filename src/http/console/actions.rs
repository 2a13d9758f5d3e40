//! Who did what: the operators' journal, an admin's to see.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::Query, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    export,
    orders::{Unreadable, days},
    page::{Notice, Page, Section, base, encoded, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    order::{model::Status, zone::Zone},
    store::console::{ACTIONS_LOOKED_AT, ActionRow, ActionsFilter, ActionsOf},
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

impl Asked {
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

pub(super) async fn show(desk: Desk, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let (publication, store) = (&desk.publication, desk.store());
    let (name, zone) = (publication.name.as_str(), publication.rules.timezone);
    let language = desk.visit.language;
    let t = texts(language);
    let mut page = ActionsPage {
        people: Vec::new(),
        people_cut: None,
        rows: Vec::new(),
        older: None,
        base: base(name),
        page: Page::of(&desk, Section::Actions, t.actions),
        asked: asked.clone(),
    };
    let filter = match asked.filter(zone) {
        Ok(filter) => filter,
        Err(why) => {
            page.page.notice = Some(Notice::bad(why.told(t)));
            return Ok(render(StatusCode::BAD_REQUEST, &page));
        }
    };
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
    let products: Vec<i32> = found.rows.iter().filter_map(product).collect();
    let products = store.product_names(name, &products).await?;
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
        let format = details.get("format").and_then(Value::as_str);
        let format = format.unwrap_or_default().to_uppercase();
        format!("{format}: {}", export::told(filter, t))
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
