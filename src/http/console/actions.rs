//! Who did what: the operators' journal, an admin's to see.

use askama::Template;
use axum::{extract::Query, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    export,
    page::{Page, Section, base, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::order::model::Status;

const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "actions.html")]
struct ActionsPage {
    page: Page,
    base: String,
    rows: Vec<Row>,
    older: Option<Uuid>,
}

struct Row {
    when: String,
    login: String,
    what: String,
    details: String,
    order: Option<i32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    before: Option<Uuid>,
}

pub(super) async fn show(desk: Desk, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let publication = &desk.publication;
    let most = i64::try_from(ROWS).unwrap_or(i64::MAX) + 1;
    let mut found = desk
        .store()
        .operator_actions(&publication.name, asked.before, most)
        .await?;
    let has_more = found.len() > ROWS;
    found.truncate(ROWS);
    let t = texts(desk.visit.language);
    let zone = publication.rules.timezone;
    let older = found.last().filter(|_| has_more).map(|row| row.action);
    let rows = found.into_iter().map(|row| Row {
        when: shown::moment(row.made_at, zone),
        login: row.login,
        what: t.action(&row.kind).to_owned(),
        details: details(&row.details, t),
        order: row.order_number,
    });
    let page = ActionsPage {
        rows: rows.collect(),
        older,
        base: base(&publication.name),
        page: Page::of(&desk, Section::Actions, t.actions),
    };
    Ok(render(StatusCode::OK, &page))
}

/// From what to what, where to, or what of.
fn details(details: &Value, t: &Texts) -> String {
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
        let orders = count("orders").map_or_else(String::new, |orders| format!(" ({orders})"));
        format!("→ {target}{orders}")
    } else if let Some(id) = part("product_id") {
        let product = count("product").map_or_else(String::new, |number| format!(" → {number}"));
        let lines = count("lines").map_or_else(String::new, |lines| format!(" ({lines})"));
        format!("{id}{product}{lines}")
    } else if let Some(client) = details.get("client") {
        client.to_string()
    } else {
        part("order").unwrap_or_default().to_owned()
    }
}
