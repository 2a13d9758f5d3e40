//! A client's data on request, an administrator's business: shown, handed out, erased.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Console,
    asked::{Done, Number},
    page::{Notice, Page, Section, base, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    order::{
        model::{Client, Status},
        reply,
    },
    personal::{self, Erasure},
    store::{console::Act, personal::Called},
};

/// Orders that are listed.
const LISTED: i64 = 50;

#[derive(Template)]
#[template(path = "clients.html")]
struct SearchPage {
    page: Page,
    base: String,
    /// What was searched for.
    searched: Option<String>,
    rows: Vec<Row>,
}

struct Row {
    number: i32,
    kind: &'static str,
    sender_id: String,
    name: String,
    phone: String,
}

#[derive(Template)]
#[template(path = "client.html")]
struct ClientPage {
    page: Page,
    base: String,
    number: i32,
    is_erased: bool,
    /// Titles and values.
    lines: Vec<(&'static str, String)>,
    addresses: Vec<String>,
    orders: Vec<OrderShown>,
    /// Whether one of those that were looked at is not finished.
    open_orders: bool,
}

struct OrderShown {
    number: i32,
    sender_id: String,
    created: String,
    status: &'static str,
    status_class: &'static str,
}

pub(super) async fn search_page(desk: Desk) -> Response {
    let page = SearchPage::of(&desk, None, Vec::new());
    render(StatusCode::OK, &page)
}

#[derive(Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    q: String,
}

/// By POST, as the search for orders.
pub(super) async fn search(desk: Desk, Form(typed): Form<Typed>) -> Result<Response, Refusal> {
    let found = personal::find(desk.store(), &desk.publication, &typed.q, None).await?;
    if let [only] = &found[..] {
        let to = format!("{}/clients/{}", base(&desk.publication.name), only.number);
        return Ok(Redirect::to(&to).into_response());
    }
    let page = SearchPage::of(&desk, Some(typed.q), found);
    Ok(render(StatusCode::OK, &page))
}

impl SearchPage {
    fn of(desk: &Desk, searched: Option<String>, found: Vec<Called>) -> Self {
        let t = texts(desk.visit.language);
        let rows = found.into_iter().map(|client| Row {
            number: client.number,
            kind: kind(client.is_guest, t),
            sender_id: client.sender_id.unwrap_or_default(),
            name: client.username,
            phone: client
                .phone
                .as_deref()
                .map_or_else(String::new, shown::phone),
        });
        Self {
            rows: rows.collect(),
            searched,
            base: base(&desk.publication.name),
            page: Page::of(desk, Section::Clients, t.clients),
        }
    }
}

fn kind(is_guest: bool, t: &Texts) -> &'static str {
    if is_guest { t.guest } else { t.registered }
}

pub(super) async fn show(
    desk: Desk,
    Path(which): Path<Number>,
    Query(done): Query<Done>,
) -> Result<Response, Refusal> {
    let t = texts(desk.visit.language);
    let notice = (done.done == "erased").then(|| Notice::good(t.client_erased));
    let page = page(&desk, which.number, notice).await?;
    Ok(render(StatusCode::OK, &page))
}

async fn page(desk: &Desk, number: i32, notice: Option<Notice>) -> Result<ClientPage, Refusal> {
    let (name, t) = (&desk.publication.name, texts(desk.visit.language));
    let zone = desk.publication.rules.timezone;
    let client = desk.store().client(name, number).await?;
    let client = client.ok_or(Refusal::NotFound)?;
    let orders = desk
        .store()
        .last_orders_of_client(name, number, LISTED)
        .await?;
    let orders: Vec<OrderShown> = orders
        .into_iter()
        .map(|order| {
            let status = Status::parse(&order.status);
            OrderShown {
                number: order.number,
                sender_id: order.sender_id,
                created: shown::moment(order.created_at, zone),
                status: status.map_or("", |status| t.status(status)),
                status_class: status.map_or("", super::orders::status_class),
            }
        })
        .collect();
    let is_open = |order: &OrderShown| [t.status_new, t.status_approved].contains(&order.status);
    Ok(ClientPage {
        number,
        is_erased: client.username.is_empty() && client.all_phones().next().is_none(),
        lines: lines(&client, t),
        addresses: client
            .addresses
            .iter()
            .filter(|address| !address.content.is_erased())
            .map(|address| reply::address_name(&address.content, address.district_name.as_deref()))
            .collect(),
        open_orders: orders.iter().any(is_open),
        orders,
        base: base(name),
        page: Page::of(desk, Section::Clients, format!("{} {number}", t.client)).with(notice),
    })
}

fn lines(client: &Client, t: &'static Texts) -> Vec<(&'static str, String)> {
    let mut phones: Vec<&str> = client.all_phones().collect();
    phones.sort_unstable();
    phones.dedup();
    let account = client.bank_account.as_ref();
    let lines = [
        (t.client, Some(client.username.clone())),
        (t.sender_id_of_client, client.sender_id.clone()),
        (
            t.kind,
            Some(kind(client.guest_phone.is_some(), t).to_owned()),
        ),
    ];
    let phones = phones
        .into_iter()
        .map(|phone| (t.phone, Some(shown::phone(phone))));
    let rest = [
        (t.email, client.email.clone()),
        (t.comment_of_client, client.comment.clone()),
        (
            t.account_number,
            client.account_number.map(|number| number.to_string()),
        ),
        (t.inn, account.and_then(|account| account.inn.clone())),
    ];
    let legal = client
        .legal_address
        .iter()
        .map(|line| (t.legal_address, Some(line.clone())));
    let all = lines.into_iter().chain(phones).chain(rest).chain(legal);
    all.filter_map(|(title, value)| Some((title, value.filter(|value| !value.is_empty())?)))
        .collect()
}

/// All that is stored of the client, as a file to hand out.
pub(super) async fn export(
    State(console): State<Arc<Console>>,
    desk: Desk,
    Path(which): Path<Number>,
) -> Result<Response, Refusal> {
    let permit = console.exports.try_acquire();
    let _permit = permit.map_err(|_all_taken| Refusal::ManyExports)?;
    let data = personal::export(desk.store(), &desk.publication, which.number).await?;
    let data = data.ok_or(Refusal::NotFound)?;
    let act = Act::of(&desk.visit.user.login);
    let details = json!({ "client": which.number });
    desk.store()
        .note_action(&desk.publication.name, act, "export_client", &details)
        .await?;
    let file = format!("attachment; filename=\"client-{}.json\"", which.number);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        ),
        (
            header::CONTENT_DISPOSITION,
            // Digits and letters.
            HeaderValue::try_from(file).map_err(|_invalid| Refusal::Defect)?,
        ),
    ];
    Ok((headers, format!("{data:#}\n")).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct Sure {
    #[serde(default)]
    with_open_orders: String,
}

pub(super) async fn erase(
    desk: Desk,
    Path(which): Path<Number>,
    Form(sure): Form<Sure>,
) -> Result<Response, Refusal> {
    let act = Act::of(&desk.visit.user.login);
    let with_open_orders = !sure.with_open_orders.is_empty();
    let done = personal::erase(
        desk.store(),
        &desk.publication,
        which.number,
        with_open_orders,
        act,
    );
    match done.await? {
        Erasure::NoSuchClient => Err(Refusal::NotFound),
        Erasure::OpenOrders(orders) => {
            let t = texts(desk.visit.language);
            let numbers: Vec<String> = orders
                .iter()
                .map(|order| order.number.to_string())
                .collect();
            let notice = Notice::bad(t.client_has_open_orders.replace("{}", &numbers.join(", ")));
            let page = page(&desk, which.number, Some(notice)).await?;
            Ok(render(StatusCode::CONFLICT, &page))
        }
        // The second click of two finds nothing left: it is as was wanted.
        Erasure::Done(_) => {
            let to = format!(
                "{}/clients/{}?done=erased",
                base(&desk.publication.name),
                which.number
            );
            Ok(Redirect::to(&to).into_response())
        }
    }
}
