//! The use case of the law of personal data: what is stored of a client is shown, handed out and erased when the client asks for it.
//! docs/decisions.md says what stays and why.

use std::{
    collections::{BTreeSet, HashSet},
    sync::OnceLock,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::{
    config::Publication,
    order::{
        Rules,
        fields::ORDER,
        model::{Address, AddressContent, Client, Order, Status},
        phone, wire,
    },
    store::{
        Error, Store,
        console::{Act, KeptOfClient},
        personal::{Called, Change, KeptBody, KeptPlace, OrderKey, SaidOf},
    },
};

/// Orders, and changes, of one step.
const STEP: usize = 200;
/// Kept orders of one step: a body may be long.
const KEPT_STEP: i64 = 100;
/// Rows of one step that are only looked at.
const LOOK_STEP: i64 = 5_000;
/// A shorter text is no sign of anybody.
const SHORTEST_MARK: usize = 4;

/// What an id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    SenderId,
    Number,
    Phone,
}

/// The clients that may be meant: by the sender's id, our number or a phone.
pub async fn find(
    store: &Store,
    publication: &Publication,
    typed: &str,
    by: Option<By>,
) -> Result<Vec<Called>, Error> {
    let is = |kind: By| by.is_none_or(|by| by == kind);
    let id = typed.trim_matches(wire::is_blank);
    let number = id
        .parse()
        .ok()
        .filter(|number: &i32| *number > 0 && is(By::Number));
    let phone = phone::parse(id, publication.rules.phone_region).filter(|_| is(By::Phone));
    store
        .clients_called(
            &publication.name,
            Some(id).filter(|id| is(By::SenderId) && !id.is_empty()),
            number,
            phone.as_ref().map(|phone| phone.e164.as_str()),
        )
        .await
}

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Orders that said something of the client.
    pub orders: u64,
    /// Kept orders with their bodies.
    pub bodies: usize,
    /// Whether anything was left of the client itself.
    pub client: bool,
}

impl Erased {
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What became of the wish.
#[derive(Debug)]
pub enum Erasure {
    NoSuchClient,
    /// These are not finished, and somebody waits for them. Nothing is erased.
    OpenOrders(Vec<OrderKey>),
    Done(Erased),
}

/// Erases what is stored of a client, in steps: if one fails, erasing once more goes on. The client itself comes last, for by it the rest
/// is found.
pub async fn erase(
    store: &Store,
    publication: &Publication,
    number: i32,
    with_open_orders: bool,
    act: Act<'_>,
) -> Result<Erasure, Error> {
    let name = publication.name.as_str();
    let Some(client) = store.client(name, number).await? else {
        return Ok(Erasure::NoSuchClient);
    };
    let orders = orders_of(store, name, number).await?;
    let open: Vec<OrderKey> = orders
        .iter()
        .filter(|order| is_open(order))
        .cloned()
        .collect();
    if !open.is_empty() && !with_open_orders {
        return Ok(Erasure::OpenOrders(open));
    }
    let mut person = Person::of(&client, &orders);
    let kept = recognise(store, publication, &mut person, &orders).await?;
    // First what is found by what is erased below.
    erase_errors(store, name, &person).await?;
    let mut erased = Erased::default();
    let kept_fields = kept_fields();
    for step in orders.chunks(STEP) {
        let numbers = numbers_of(step);
        erased.orders += store.erase_orders(name, number, &numbers).await?;
        store.erase_changes(name, &numbers, &kept_fields).await?;
    }
    // What was noted of orders that went to somebody else, or came from there.
    let mut after = (0, -1);
    loop {
        let (moved, last) = store
            .moves_of_client(name, number, after, LOOK_STEP)
            .await?;
        if !moved.is_empty() {
            store.erase_changes(name, &moved, &kept_fields).await?;
        }
        let Some(last) = last else { break };
        after = last;
    }
    for step in kept.chunks(STEP) {
        store.erase_bodies(name, step, act.login).await?;
    }
    erased.bodies = kept.len();
    let details = json!({ "client": number, "orders": erased.orders, "bodies": erased.bodies });
    erased.client = store.erase_client(name, number, act, &details).await?;
    Ok(Erasure::Done(erased))
}

/// Adds to what a client is known by how its orders and their history name it, and what it was called before, as its kept orders have
/// it. Says which kept orders those are.
async fn recognise(
    store: &Store,
    publication: &Publication,
    person: &mut Person,
    orders: &[OrderKey],
) -> Result<Vec<KeptPlace>, Error> {
    let name = publication.name.as_str();
    for step in orders.chunks(STEP) {
        let ids: Vec<&str> = step.iter().map(|order| order.sender_id.as_str()).collect();
        for order in store.whole_orders(name, &ids).await? {
            person.add_address(&order.shipping_address);
            person.marks.extend(order.content.comment);
        }
        for change in store.changes_of_orders(name, &numbers_of(step)).await? {
            person.add_change(&change.changes);
        }
    }
    let mut its = Vec::new();
    let mut after = KeptPlace::START;
    loop {
        let (kept, last) = store.kept_bodies(name, after, KEPT_STEP).await?;
        for kept in kept {
            if person.is_in(&kept.order_key, &kept.body, &publication.rules) {
                person.add_body(&kept.body);
                its.push(kept.place());
            }
        }
        let Some(last) = last else { return Ok(its) };
        after = last;
    }
}

fn numbers_of(orders: &[OrderKey]) -> Vec<i32> {
    orders.iter().map(|order| order.number).collect()
}

fn is_open(order: &OrderKey) -> bool {
    let status = Status::parse(&order.status);
    matches!(status, Some(Status::New | Status::Approved))
}

/// A client's orders that are not finished.
pub async fn open_orders(
    store: &Store,
    publication: &str,
    client: i32,
) -> Result<Vec<OrderKey>, Error> {
    let mut orders = orders_of(store, publication, client).await?;
    orders.retain(is_open);
    Ok(orders)
}

/// What targets said of whole requests may name anybody.
async fn erase_errors(store: &Store, publication: &str, person: &Person) -> Result<(), Error> {
    let targets = store.errors_of_targets(publication).await?;
    let targets = targets
        .into_iter()
        .filter(|(_, error)| person.is_named_in(error));
    let targets: Vec<String> = targets.map(|(name, _)| name).collect();
    store.erase_errors(publication, &[], &targets).await?;
    let mut after = None;
    loop {
        let (mut attempts, last) = store
            .attempts_behind(publication, after.as_ref(), LOOK_STEP)
            .await?;
        attempts.retain(|attempt| {
            let error = attempt.error.as_deref();
            error.is_some_and(|error| person.is_named_in(error))
        });
        store.erase_errors(publication, &attempts, &[]).await?;
        let Some(last) = last else { return Ok(()) };
        after = Some(last);
    }
}

/// Fields whose changes say nothing of a person.
fn kept_fields() -> Vec<String> {
    let of_person = ["comment", "shipping_address"];
    let fields = ORDER.names.into_iter();
    let fields = fields.filter(|name| !of_person.contains(name));
    fields.map(str::to_owned).collect()
}

async fn orders_of(store: &Store, publication: &str, client: i32) -> Result<Vec<OrderKey>, Error> {
    let mut orders: Vec<OrderKey> = Vec::new();
    loop {
        let after = orders.last().map_or(0, |order| order.number);
        let more = store
            .orders_of_client(publication, client, after, LOOK_STEP)
            .await?;
        if more.is_empty() {
            return Ok(orders);
        }
        orders.extend(more);
    }
}

/// By what a client is known again in what was kept as it came.
#[derive(Debug)]
struct Person {
    number: i32,
    sender_id: Option<String>,
    phones: BTreeSet<String>,
    order_keys: HashSet<String>,
    /// Texts that name the client, in lower case.
    marks: Vec<String>,
    lowered: OnceLock<Vec<String>>,
}

impl Person {
    fn of(client: &Client, orders: &[OrderKey]) -> Self {
        let mut person = Self {
            number: client.number,
            sender_id: client.sender_id.clone(),
            phones: client.all_phones().map(str::to_owned).collect(),
            order_keys: orders.iter().map(|order| order.sender_id.clone()).collect(),
            marks: [
                Some(client.username.clone()),
                client.email.clone(),
                client.comment.clone(),
            ]
            .into_iter()
            .flatten()
            .chain(client.legal_address.iter().cloned())
            .collect(),
            lowered: OnceLock::new(),
        };
        for address in &client.addresses {
            person.add_address(&address.content);
        }
        person
    }

    fn add_address(&mut self, address: &AddressContent) {
        self.marks.push(address.str.clone());
        self.marks.push(address.street.clone());
    }

    /// What was written before and after a change.
    fn add_change(&mut self, changes: &Value) {
        for field in ["comment", "shipping_address.str", "shipping_address.street"] {
            self.marks.extend(texts(&changes[field]));
        }
    }

    /// What a kept order calls its client.
    fn add_body(&mut self, body: &str) {
        let order: Value = serde_json::from_str(body).unwrap_or_default();
        let client = &order["client"];
        let addresses = client["addresses"].as_array().into_iter().flatten();
        let addresses = addresses.chain([&order["shipping_address"]]);
        let addresses = addresses.flat_map(|address| [&address["str"], &address["street"]]);
        let about = ["username", "email", "emai", "comment"].map(|field| &client[field]);
        let named = about
            .into_iter()
            .chain([&order["comment"]])
            .chain(addresses);
        self.marks.extend(named.flat_map(texts));
    }

    /// Whether a kept order is this client's. Whom its body names counts; only of one that names nobody its id, and the phones that
    /// stand anywhere in it.
    fn is_in(&self, order_key: &str, body: &str, rules: &Rules) -> bool {
        let element = wire::parse(body, rules, 1);
        let named = &element.client;
        if let Some(id) = &named.id {
            return self.sender_id.as_ref() == Some(id);
        }
        if let Some(number) = named.external_id.or(named.guest_number) {
            return number == self.number;
        }
        let mut phones = named
            .phone
            .as_deref()
            .into_iter()
            .chain(element.phones())
            .peekable();
        if phones.peek().is_some() {
            return phones.any(|phone| self.phones.contains(phone));
        }
        self.order_keys.contains(order_key) || self.has_a_phone_in(body)
    }

    /// Whether a text has one of the client's phones, however it is written.
    fn has_a_phone_in(&self, text: &str) -> bool {
        let mut digits = String::new();
        for symbol in text.chars() {
            match symbol {
                _ if symbol.is_ascii_digit() => digits.push(symbol),
                ' ' | '\u{a0}' | '-' | '–' | '(' | ')' | '.' => {}
                _ if digits.ends_with(' ') => {}
                _ => digits.push(' '),
            }
        }
        let mut phones = self.phones.iter();
        phones.any(|phone| {
            let number = phone.trim_start_matches('+');
            let last = number.len().saturating_sub(10);
            digits.contains(number.get(last..).unwrap_or(number))
        })
    }

    /// Whether somebody's words name the client.
    fn is_named_in(&self, text: &str) -> bool {
        let lowered = self.lowered.get_or_init(|| {
            let marks = self.marks.iter().map(|mark| mark.trim().to_lowercase());
            marks
                .filter(|mark| mark.chars().count() >= SHORTEST_MARK)
                .collect()
        });
        let text_lowered = text.to_lowercase();
        lowered.iter().any(|mark| text_lowered.contains(mark)) || self.has_a_phone_in(text)
    }
}

/// The texts in a value and in the list that it may be.
fn texts(value: &Value) -> Vec<String> {
    let list = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    let texts = list.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// Kept orders that are looked at for a page: a body may be long.
pub const KEPT_LOOKED_AT: i64 = 500;

/// A client's kept orders among the newest of all, and whether older ones were not looked at. `orders`: some of its orders.
pub async fn newest_kept(
    store: &Store,
    publication: &Publication,
    client: &Client,
    orders: &[OrderKey],
) -> Result<(Vec<KeptOfClient>, bool), Error> {
    let person = Person::of(client, orders);
    let (mut kept, is_cut) = store.newest_kept(&publication.name, KEPT_LOOKED_AT).await?;
    kept.retain(|kept| person.is_in(&kept.order_key, &kept.body, &publication.rules));
    Ok((kept, is_cut))
}

/// All that is stored of a client, for the client; `None`: there is no such client.
pub async fn export(
    store: &Store,
    publication: &Publication,
    number: i32,
) -> Result<Option<Value>, Error> {
    let name = publication.name.as_str();
    let Some(client) = store.client(name, number).await? else {
        return Ok(None);
    };
    let keys = orders_of(store, name, number).await?;
    let person = Person::of(&client, &keys);
    let mut orders = Vec::with_capacity(keys.len());
    for step in keys.chunks(STEP) {
        let ids: Vec<&str> = step.iter().map(|order| order.sender_id.as_str()).collect();
        let numbers: Vec<i32> = step.iter().map(|order| order.number).collect();
        let changes = store.changes_of_orders(name, &numbers).await?;
        let said = store.said_of_orders(name, &numbers).await?;
        let mut whole = store.whole_orders(name, &ids).await?;
        // One that went to somebody else meanwhile is not shown.
        whole.retain(|order| order.client_number == number);
        whole.sort_by_key(|order| order.number);
        orders.extend(whole.iter().map(|order| of_order(order, &changes, &said)));
    }
    let mut kept = Vec::new();
    let mut after = KeptPlace::START;
    loop {
        let (bodies, last) = store.kept_bodies(name, after, KEPT_STEP).await?;
        let its = bodies
            .into_iter()
            .filter(|kept| person.is_in(&kept.order_key, &kept.body, &publication.rules));
        kept.extend(its.map(of_kept));
        let Some(last) = last else { break };
        after = last;
    }
    Ok(Some(json!({
        "publication": name,
        "client": of_client(&client),
        "orders": orders,
        "kept": kept,
    })))
}

fn moment(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn of_client(client: &Client) -> Value {
    let prices = client.prices.iter().map(|price| {
        json!({
            "product": price.product_number, "price": price.price.to_string(), "active": price.active,
        })
    });
    json!({
        "number": client.number,
        "id": client.sender_id,
        "guest_phone": client.guest_phone,
        "username": client.username,
        "phone": client.phone,
        "phones": client.phones,
        "email": client.email,
        "comment": client.comment,
        "account_number": client.account_number,
        "type": client.kind.as_str(),
        "bank_account": client.bank_account,
        "legal_address": client.legal_address,
        "coins_amount": client.coins_amount.to_string(),
        "loyalty_system_is_active": client.loyalty_system_is_active,
        "addresses": client.addresses.iter().map(of_address).collect::<Vec<_>>(),
        "prices": prices.collect::<Vec<_>>(),
    })
}

fn of_address(address: &Address) -> Value {
    let mut value = json!(address.content);
    value["number"] = address.number.into();
    value["id"] = json!(address.sender_id);
    value["district"] = json!(address.district_name);
    value
}

fn of_order(order: &Order, changes: &[Change], said: &[SaidOf]) -> Value {
    let lines = order.items.iter().map(|item| {
        json!({
            "product_id": item.product_id, "name": item.name, "price": item.price.to_string(), "quantity": item.quantity,
        })
    });
    let history = changes
        .iter()
        .filter(|change| change.order_number == order.number);
    let history = history.map(|change| {
        json!({ "made_at": moment(change.made_at), "version": change.version, "changes": change.changes })
    });
    let said = said.iter().find(|said| said.order_number == order.number);
    let mut value: Map<String, Value> = Map::new();
    for (name, shown) in order.content.fields() {
        value.insert(name.to_owned(), shown.json());
    }
    let rest = json!({
        "number": order.number,
        "id": order.sender_id,
        "status": order.status.as_str(),
        "created_at": moment(order.created_at),
        "total": order.total.to_string(),
        "shipping_date_from": moment(order.shipping_date_from),
        "shipping_date_to": moment(order.shipping_date_to),
        "shipping_address": order.shipping_address,
        "order_item_list": lines.collect::<Vec<_>>(),
        "in_1c": said.map(|said| json!({ "number": said.number, "uid": said.uid, "error": said.error })),
        "history": history.collect::<Vec<_>>(),
    });
    if let Value::Object(rest) = rest {
        value.extend(rest);
    }
    Value::Object(value)
}

fn of_kept(kept: KeptBody) -> Value {
    json!({
        "received_at": moment(kept.received_at),
        "order": kept.order_key,
        "accepted": kept.warnings.is_some(),
        "faults": kept.warnings.unwrap_or(kept.faults),
        "body": kept.body,
    })
}
