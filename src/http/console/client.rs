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
    search,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    order::{
        model::{Client, Order, Status},
        reply,
    },
    personal::{self, Erasure, KEPT_LOOKED_AT},
    store::{
        console::{Act, KeptOfClient, ORDERS_COUNTED},
        personal::{Called, OrderKey},
    },
};

/// Orders that are listed, and clients that are found.
const LISTED: usize = 50;
/// Publications besides the page's own in which the client is looked for.
const OTHERS: usize = 20;

#[derive(Template)]
#[template(path = "clients.html")]
struct SearchPage {
    page: Page,
    base: String,
    /// What was searched for.
    searched: Option<String>,
    rows: Vec<Row>,
    is_cut: bool,
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
    /// Who erased it, and when.
    erased_by: Option<String>,
    /// Titles and values.
    lines: Vec<(&'static str, String)>,
    addresses: Vec<String>,
    orders: Vec<OrderShown>,
    /// Where these are not all: how many there are.
    of_all: Option<String>,
    kept: Vec<KeptShown>,
    kept_cut: Option<String>,
    elsewhere: Vec<Elsewhere>,
}

/// Before it is erased: whom, what, and what of it somebody waits for.
#[derive(Template)]
#[template(path = "client_erase.html")]
struct ErasePage {
    page: Page,
    base: String,
    number: i32,
    lines: Vec<(&'static str, String)>,
    open: Vec<OrderShown>,
    elsewhere: Vec<Elsewhere>,
}

struct OrderShown {
    number: i32,
    sender_id: String,
    created: String,
    status: &'static str,
    status_class: &'static str,
    address: String,
    comment: String,
}

/// A kept order of the client's.
struct KeptShown {
    path: String,
    order_key: String,
    what: &'static str,
    class: &'static str,
}

/// A client of another publication with the same phone.
struct Elsewhere {
    publication: String,
    href: String,
    number: i32,
}

/// Where a client's page is.
fn href(publication: &str, number: i32) -> String {
    format!("{}/{number}", Section::Clients.href(publication))
}

pub(super) async fn search_page(desk: Desk) -> Response {
    let page = SearchPage::of(&desk, None, Vec::new(), false);
    render(StatusCode::OK, &page)
}

#[derive(Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    q: String,
}

/// By POST, as the search for orders.
pub(super) async fn search(desk: Desk, Form(typed): Form<Typed>) -> Result<Response, Refusal> {
    let publication = &desk.publication;
    let mut found = personal::find(desk.store(), publication, &typed.q, None).await?;
    let mut is_cut = found.len() >= LISTED;
    // And as orders are found: by the last digits of a phone, or a name's beginning.
    if let Some(search) = search::read(&typed.q, publication.rules.phone_region) {
        let (more, more_are_cut) = desk
            .store()
            .search_clients(&publication.name, &search, LISTED)
            .await?;
        let known: Vec<i32> = found.iter().map(|client| client.number).collect();
        found.extend(
            more.into_iter()
                .filter(|client| !known.contains(&client.number)),
        );
        is_cut |= more_are_cut;
    }
    if let [only] = &found[..] {
        return Ok(Redirect::to(&href(&publication.name, only.number)).into_response());
    }
    let page = SearchPage::of(&desk, Some(typed.q), found, is_cut);
    Ok(render(StatusCode::OK, &page))
}

impl SearchPage {
    fn of(desk: &Desk, searched: Option<String>, found: Vec<Called>, is_cut: bool) -> Self {
        let t = texts(desk.visit.language);
        let rows = found.into_iter().map(|client| Row {
            number: client.number,
            kind: kind(client.is_guest, t),
            sender_id: client.sender_id.unwrap_or_default(),
            name: shown::or_erased(client.username, t),
            phone: client
                .phone
                .as_deref()
                .map_or_else(String::new, shown::phone),
        });
        Self {
            rows: rows.collect(),
            is_cut,
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

async fn read(desk: &Desk, number: i32) -> Result<Client, Refusal> {
    let client = desk.store().client(&desk.publication.name, number).await?;
    client.ok_or(Refusal::NotFound)
}

fn is_erased(client: &Client) -> bool {
    client.username.is_empty() && client.all_phones().next().is_none()
}

async fn page(desk: &Desk, number: i32, notice: Option<Notice>) -> Result<ClientPage, Refusal> {
    let (store, name) = (desk.store(), &desk.publication.name);
    let language = desk.visit.language;
    let (t, zone) = (texts(language), desk.publication.rules.timezone);
    let client = read(desk, number).await?;
    let is_erased = is_erased(&client);
    let erasure = if is_erased {
        store.erasure_of(name, number).await?
    } else {
        None
    };
    let most = i64::try_from(LISTED).unwrap_or(i64::MAX);
    let keys = store.last_orders_of_client(name, number, most).await?;
    let ids: Vec<&str> = keys.iter().map(|order| order.sender_id.as_str()).collect();
    let whole = store.whole_orders(name, &ids).await?;
    let all = if keys.len() < LISTED {
        most
    } else {
        store.count_orders_of_client(name, number).await?
    };
    let (kept, kept_is_cut) =
        personal::newest_kept(store, &desk.publication, &client, &keys).await?;
    Ok(ClientPage {
        number,
        is_erased,
        erased_by: erasure.map(|erasure| {
            let when = shown::moment(erasure.made_at, zone);
            let text = t.erased_by.replacen("{}", &when, 1);
            text.replacen("{}", &erasure.login, 1)
        }),
        lines: lines(&client, t),
        addresses: client
            .addresses
            .iter()
            .filter(|address| !address.content.is_erased())
            .map(|address| reply::address_name(&address.content, address.district_name.as_deref()))
            .collect(),
        of_all: (all > most).then(|| {
            let more = if all >= ORDERS_COUNTED { "+" } else { "" };
            let all = format!("{}{more}", shown::count(all, language));
            let text = t.of_all.replacen("{}", &LISTED.to_string(), 1);
            text.replacen("{}", &all, 1)
        }),
        orders: keys
            .into_iter()
            .map(|key| {
                let order = whole.iter().find(|order| order.number == key.number);
                OrderShown::of(key, order, desk)
            })
            .collect(),
        kept: kept
            .into_iter()
            .map(|kept| KeptShown::of(kept, desk))
            .collect(),
        kept_cut: kept_is_cut.then(|| {
            t.kept_cut
                .replace("{}", &shown::count(KEPT_LOOKED_AT, language))
        }),
        elsewhere: elsewhere(desk, &client).await?,
        base: base(name),
        page: Page::of(desk, Section::Clients, format!("{} {number}", t.client)).with(notice),
    })
}

impl OrderShown {
    fn of(key: OrderKey, order: Option<&Order>, desk: &Desk) -> Self {
        let t = texts(desk.visit.language);
        let status = Status::parse(&key.status);
        let address = order.map(|order| reply::address_name(&order.shipping_address, None));
        let comment = order.and_then(|order| order.content.comment.clone());
        Self {
            number: key.number,
            sender_id: key.sender_id,
            created: shown::moment(key.created_at, desk.publication.rules.timezone),
            status: status.map_or("", |status| t.status(status)),
            status_class: status.map_or("", super::orders::status_class),
            address: address.map_or_else(String::new, |address| shown::or_erased(address, t)),
            comment: comment.unwrap_or_default(),
        }
    }
}

impl KeptShown {
    fn of(kept: KeptOfClient, desk: &Desk) -> Self {
        let t = texts(desk.visit.language);
        let (what, class) = if kept.is_rejected {
            (t.event_rejected, "bad")
        } else {
            (t.event_remarks, "warn")
        };
        let base = base(&desk.publication.name);
        Self {
            path: format!("{base}/kept/{}/{}", kept.at.batch, kept.at.position),
            order_key: kept.order_key,
            what,
            class,
        }
    }
}

/// Its phones, each once.
fn phones(client: &Client) -> Vec<&str> {
    let mut phones: Vec<&str> = client.all_phones().collect();
    phones.sort_unstable();
    phones.dedup();
    phones
}

/// The clients with one of its phones in the visitor's other publications.
async fn elsewhere(desk: &Desk, client: &Client) -> Result<Vec<Elsewhere>, Refusal> {
    let own = &desk.publication;
    let publications = desk.visit.user.publications.iter();
    let publications = publications.filter(|other| **other != own.name);
    let phones = phones(client);
    let mut found: Vec<Elsewhere> = Vec::new();
    for publication in publications.take(OTHERS) {
        let mut numbers = Vec::new();
        for phone in &phones {
            let called = desk
                .store()
                .clients_called(publication, None, None, Some(phone));
            numbers.extend(called.await?.into_iter().map(|client| client.number));
        }
        numbers.sort_unstable();
        numbers.dedup();
        found.extend(numbers.into_iter().map(|number| Elsewhere {
            href: href(publication, number),
            publication: publication.clone(),
            number,
        }));
    }
    Ok(found)
}

fn lines(client: &Client, t: &'static Texts) -> Vec<(&'static str, String)> {
    let account = client.bank_account.as_ref();
    let lines = [
        (t.client, Some(client.username.clone())),
        (t.sender_id_of_client, client.sender_id.clone()),
        (
            t.kind,
            Some(kind(client.guest_phone.is_some(), t).to_owned()),
        ),
    ];
    let phones = phones(client)
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

/// Asks whether it is to be, and says what that means.
pub(super) async fn ask_to_erase(
    desk: Desk,
    Path(which): Path<Number>,
) -> Result<Response, Refusal> {
    let client = read(&desk, which.number).await?;
    if is_erased(&client) {
        let page = href(&desk.publication.name, which.number);
        return Ok(Redirect::to(&page).into_response());
    }
    let page = ErasePage::of(&desk, &client, None).await?;
    Ok(render(StatusCode::OK, &page))
}

impl ErasePage {
    async fn of(desk: &Desk, client: &Client, notice: Option<Notice>) -> Result<Self, Refusal> {
        let t = texts(desk.visit.language);
        let name = &desk.publication.name;
        let open = personal::open_orders(desk.store(), name, client.number).await?;
        Ok(Self {
            number: client.number,
            lines: lines(client, t),
            open: open
                .into_iter()
                .map(|key| OrderShown::of(key, None, desk))
                .collect(),
            elsewhere: elsewhere(desk, client).await?,
            base: base(name),
            page: Page::of(
                desk,
                Section::Clients,
                t.erase_title.replace("{}", &client.number.to_string()),
            )
            .with(notice),
        })
    }
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
            let client = read(&desk, which.number).await?;
            let page = ErasePage::of(&desk, &client, Some(notice)).await?;
            Ok(render(StatusCode::CONFLICT, &page))
        }
        // The second click of two finds nothing left: it is as was wanted.
        Erasure::Done(_) => {
            let page = href(&desk.publication.name, which.number);
            Ok(Redirect::to(&format!("{page}?done=erased")).into_response())
        }
    }
}
