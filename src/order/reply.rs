//! The stored order -> the document's answer shape (contract §2, §6): every key, always.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{
    Serialize, Serializer,
    ser::{SerializeSeq, SerializeStruct},
};

use super::{
    Rules,
    amount::Number,
    answer_size, datetime,
    decide::{Decision, Verdict},
    fault::{FaultText, Language, RemarkText, summary},
    model::{Address, AddressContent, BankAccount, Client, ClientPrice, Order, OrderItem},
    phone,
    sent_only::{Shown, sent_only},
    wire::Element,
    zone::Zone,
};

/// Before the entries …
const START: &[u8] = br#"{"success":true,"data":{"#;
/// … and behind them.
const END: &[u8] = b"}}";
/// Room for an accepted order's entry of the usual size, bytes; too little, and what is written is copied to make room.
const USUAL_ENTRY: usize = 2560;
/// How long an answer of this many bytes becomes is told more exactly.
const LARGE: usize = 1024 * 1024;
/// A piece of the answer is about so long: when it is sent its memory is free again.
const PIECE: usize = 256 * 1024;

/// The stored records that an answer shows.
#[derive(Debug)]
pub struct Stored {
    /// Orders, as [`Verdict::order`] counts them.
    pub orders: Vec<Arc<Order>>,
    /// For each order its client, into `clients`.
    pub client_of: Vec<usize>,
    /// Clients.
    pub clients: Vec<Arc<Client>>,
}

impl Stored {
    /// The records as they are once a decision is stored.
    #[must_use]
    pub fn of(decision: &Decision<'_>) -> Self {
        let clients: Vec<_> = decision
            .clients
            .iter()
            .map(|record| Arc::clone(&record.after))
            .collect();
        let index: HashMap<i32, usize> = clients
            .iter()
            .enumerate()
            .map(|(index, client)| (client.number, index))
            .collect();
        let orders: Vec<_> = decision
            .orders
            .iter()
            .map(|record| Arc::clone(&record.after))
            .collect();
        // Every order that is answered was applied, and its client with it.
        let client_of = orders
            .iter()
            .map(|order| {
                index
                    .get(&order.client_number)
                    .copied()
                    .unwrap_or(usize::MAX)
            })
            .collect();
        Self {
            orders,
            client_of,
            clients,
        }
    }
}

/// The answer to one batch that was processed, whatever became of each order.
pub struct Envelope<'a> {
    /// The batch's elements.
    pub elements: &'a [Element],
    /// What became of each entry.
    pub verdicts: &'a [Verdict],
    /// What the verdicts point to.
    pub stored: &'a Stored,
    /// The publication's.
    pub rules: &'a Rules,
    /// The caller's.
    pub language: Language,
}

/// The keys of a batch's entries: the order's id, or `#n` for the n-th element, from 0, without a usable one.
#[must_use]
pub fn keys(elements: &[Element]) -> Vec<String> {
    keys_by(elements, |element| element.id.as_deref())
}

/// The keys under which a batch's entries are answered: the same, with each id as it came (contract §3).
#[must_use]
pub fn keys_as_sent(elements: &[Element]) -> Vec<String> {
    // Nearly every id comes as it is compared.
    if elements.iter().all(|element| element.id_as_sent.is_none()) {
        return keys(elements);
    }
    let ids: HashSet<&str> = elements.iter().filter_map(|e| e.id.as_deref()).collect();
    // The number 68.0 is the order 68; somebody else's order may really be called "68.0".
    keys_by(elements, |element| match &element.id_as_sent {
        Some(sent) if !ids.contains(sent.as_str()) => Some(sent),
        _ => element.id.as_deref(),
    })
}

fn keys_by<'e>(
    elements: &'e [Element],
    id_of: impl Fn(&'e Element) -> Option<&'e str>,
) -> Vec<String> {
    let ids: HashSet<&str> = elements.iter().filter_map(&id_of).collect();
    let mut keys = Vec::new();
    for (place, element) in elements.iter().enumerate() {
        if element.entry == keys.len() {
            keys.push(id_of(element).map_or_else(
                || {
                    let mut key = format!("#{place}");
                    // Somebody's order may really be called "#0".
                    while ids.contains(key.as_str()) {
                        key.insert(0, '#');
                    }
                    key
                },
                ToOwned::to_owned,
            ));
        }
    }
    keys
}

impl Envelope<'_> {
    /// The answer as JSON, in pieces that belong one behind the other.
    ///
    /// # Errors
    /// None that a record could cause; the library cannot know.
    pub fn to_json(&self) -> serde_json::Result<Vec<Vec<u8>>> {
        let writer = self.writer();
        writer.pieces(0..writer.entries())
    }

    /// Writes the answer a range of entries at a time, for a caller who spreads a large one over threads.
    #[must_use]
    pub fn writer(&self) -> Writer<'_> {
        Writer {
            envelope: self,
            keys: keys_as_sent(self.elements),
            elements: self.elements_of_entries(),
        }
    }

    /// How long the answer can become, told before it is written; where that is more than `enough`, counted no further.
    #[must_use]
    pub fn most_bytes(&self, enough: usize) -> usize {
        // The texts' lengths are enough to tell a small answer from a large one; only that is looked through.
        let roughly = self.count(answer_size::at_most, LARGE);
        if roughly <= LARGE {
            return roughly;
        }
        self.count(answer_size::exactly, enough)
    }

    fn count(&self, length: fn(&str) -> usize, enough: usize) -> usize {
        let elements = self.elements_of_entries();
        // The same client of many orders is counted through once.
        let mut clients: HashMap<i32, usize> = HashMap::new();
        let ids = self.elements.iter();
        let ids = ids.map(|element| element.id_as_sent.as_deref().or(element.id.as_deref()));
        let keys = ids.map(|id| answer_size::of_key(id, length));
        let mut bytes = START.len() + END.len() + keys.sum::<usize>();
        for (at, verdict) in self.verdicts.iter().enumerate() {
            bytes += answer_size::of_verdict(verdict, self.language);
            if let Some(order) = verdict.order {
                let elements = elements.get(at).map_or(&[][..], Vec::as_slice);
                let mut sent = None;
                let OrderAnswer {
                    order,
                    client,
                    is_stored,
                    ..
                } = self.shown(order, verdict, elements, &mut sent);
                bytes += answer_size::of_order(order, client, length);
                let size = || answer_size::of_client(client, length);
                bytes += if is_stored {
                    *clients.entry(client.number).or_insert_with(size)
                } else {
                    size()
                };
            }
            if bytes > enough {
                break;
            }
        }
        bytes
    }

    /// The order and the client that an entry shows: as stored, or what its elements sent, which is put into `sent`.
    fn shown<'s>(
        &'s self,
        order: usize,
        verdict: &Verdict,
        elements: &[&Element],
        sent: &'s mut Option<Shown>,
    ) -> OrderAnswer<'s> {
        let client = &*self.stored.clients[self.stored.client_of[order]];
        let order = &*self.stored.orders[order];
        let rules = self.rules;
        if self.shows_stored(verdict) {
            return OrderAnswer::whole(order, client, rules, Shape::Document);
        }
        let shown = sent.insert(sent_only(verdict, order, client, elements));
        OrderAnswer {
            order: &shown.order,
            client: &shown.client,
            rules,
            is_stored: false,
            total: shown.total,
            created_at: shown.created_at,
            shipping_dates: shown.shipping_dates,
            has_address: shown.has_address,
            shape: Shape::Document,
        }
    }

    /// Whether an entry shows what is stored. What is another client's it does not show anywhere.
    fn shows_stored(&self, verdict: &Verdict) -> bool {
        let is_owners = |order: usize| verdict.is_of(self.stored.orders[order].client_number);
        self.rules.answers_stored && verdict.order.is_none_or(is_owners)
    }

    /// The elements of each entry, where the answer shows what they sent; else nothing.
    fn elements_of_entries(&self) -> Vec<Vec<&Element>> {
        if self
            .verdicts
            .iter()
            .all(|verdict| self.shows_stored(verdict))
        {
            return Vec::new();
        }
        let mut of_entries = vec![Vec::new(); self.verdicts.len()];
        for element in self.elements {
            if let Some(elements) = of_entries.get_mut(element.entry) {
                elements.push(element);
            }
        }
        of_entries
    }
}

/// Writes an answer range by range.
pub struct Writer<'a> {
    envelope: &'a Envelope<'a>,
    keys: Vec<String>,
    elements: Vec<Vec<&'a Element>>,
}

impl Writer<'_> {
    /// How many entries the answer has.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.keys.len().min(self.envelope.verdicts.len())
    }

    /// These entries as JSON, in pieces that belong one behind the other. The first range brings the answer's start along and
    /// the last one its end, so that the pieces of ranges that follow one another are the whole answer.
    ///
    /// # Errors
    /// None that a record could cause; the library cannot know.
    pub fn pieces(&self, range: Range<usize>) -> serde_json::Result<Vec<Vec<u8>>> {
        let mut pieces = Vec::new();
        let room = |entries: usize| Vec::with_capacity((entries * USUAL_ENTRY).min(PIECE) + 64);
        let mut piece = room(range.len());
        if range.start == 0 {
            piece.extend_from_slice(START);
        }
        for at in range.clone() {
            if at > 0 {
                piece.push(b',');
            }
            serde_json::to_writer(&mut piece, &self.keys[at])?;
            piece.push(b':');
            let elements = self.elements.get(at).map_or(&[][..], Vec::as_slice);
            let entry = Entry(self.envelope, &self.envelope.verdicts[at], elements);
            serde_json::to_writer(&mut piece, &entry)?;
            if piece.len() >= PIECE {
                pieces.push(std::mem::replace(&mut piece, room(range.end - at)));
            }
        }
        if range.end == self.entries() {
            piece.extend_from_slice(END);
        }
        pieces.push(piece);
        Ok(pieces)
    }
}

/// An entry's verdict, and its elements where the answer shows what they sent.
struct Entry<'a>(&'a Envelope<'a>, &'a Verdict, &'a [&'a Element]);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(envelope, verdict, elements) = self;
        let language = envelope.language;
        let Some(order) = verdict.order else {
            let faults = verdict.faults();
            let mut s = serializer.serialize_struct("Entry", 4)?;
            s.serialize_field("success", &false)?;
            s.serialize_field("data", &[(); 0])?;
            s.serialize_field("message", &summary(&faults, language))?;
            let texts = faults.into_iter();
            let texts: Vec<_> = texts
                .map(|fault| FaultText::whole(fault, language))
                .collect();
            s.serialize_field("errors", &texts)?;
            return s.end();
        };
        let mut s = serializer.serialize_struct("Entry", 3)?;
        s.serialize_field("success", &true)?;
        let mut sent = None;
        s.serialize_field(
            "data",
            &[envelope.shown(order, verdict, elements, &mut sent)],
        )?;
        let remarks = verdict.remarks();
        if !remarks.is_empty() {
            let texts = remarks.into_iter();
            let texts: Vec<_> = texts.map(|remark| RemarkText(remark, language)).collect();
            s.serialize_field("warnings", &texts)?;
        }
        s.end()
    }
}

/// A number as it is answered: one that a batch would be given, if it were not only tried out, is below zero, and nobody's.
fn given(number: i32) -> Option<i32> {
    (number > 0).then_some(number)
}

/// A client's account number, which may be any that its sender has; one that is only the client's own number goes with that.
fn account_number(client: &Client) -> Option<i64> {
    let own = i64::from(client.number);
    client
        .account_number
        .filter(|number| *number != own || own > 0)
}

/// In which shape an order is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The document's.
    Document,
    /// The feed's, which 1C reads into a structure: dates in ISO, and no object that is keyed by data (contract §8).
    Feed,
}

/// One order as the document answers it.
pub struct OrderAnswer<'a> {
    /// The order.
    pub order: &'a Order,
    /// Its client.
    pub client: &'a Client,
    /// The publication's.
    pub rules: &'a Rules,
    /// Whether they are as stored; else only what was sent of them is shown.
    pub is_stored: bool,
    /// As far as it is to be shown ([`Shown`]), as what follows.
    pub total: Option<Decimal>,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// From when until when.
    pub shipping_dates: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Whether its address is to be shown.
    pub has_address: bool,
    pub shape: Shape,
}

impl<'a> OrderAnswer<'a> {
    /// All that is stored of an order.
    #[must_use]
    pub fn whole(order: &'a Order, client: &'a Client, rules: &'a Rules, shape: Shape) -> Self {
        Self {
            order,
            client,
            rules,
            is_stored: true,
            total: Some(order.total),
            created_at: Some(order.created_at),
            shipping_dates: Some((order.shipping_date_from, order.shipping_date_to)),
            has_address: true,
            shape,
        }
    }
}

/// A moment in the publication's local time.
struct Local(DateTime<Utc>, Zone, Shape);

impl Serialize for Local {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let print = match self.2 {
            Shape::Document => datetime::print,
            Shape::Feed => datetime::print_iso,
        };
        serializer.serialize_str(&print(self.0, self.1))
    }
}

impl Serialize for OrderAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            order,
            client,
            rules,
            is_stored,
            total,
            created_at,
            shipping_dates,
            has_address,
            shape,
        } = self;
        let shape = *shape;
        let (zone, content) = (rules.timezone, &order.content);
        let mut s = serializer.serialize_struct("Order", 19)?;
        // A text, as in the document; the client's and the addresses' numbers are integers there.
        let id = given(order.number).map(|number| number.to_string());
        s.serialize_field("id", &id)?;
        s.serialize_field("external_id", &order.sender_id)?;
        s.serialize_field("status", order.status.as_str())?;
        let client_answer = ClientAnswer {
            client,
            rules,
            shape,
            is_stored: *is_stored,
        };
        s.serialize_field("client", &client_answer)?;
        s.serialize_field("account_number", &account_number(client))?;
        s.serialize_field("total", &total.map(Number))?;
        s.serialize_field("delivery_cost", &content.delivery_cost.map(Number))?;
        s.serialize_field("coins", &content.coins.map(Number))?;
        s.serialize_field("payment_type", &content.payment_type)?;
        s.serialize_field("payment_status", &content.payment_status)?;
        let local = |moment| Local(moment, zone, shape);
        s.serialize_field("created_at", &created_at.map(local))?;
        let address = has_address.then(|| AddressAnswer::shipping(order, client));
        s.serialize_field("shipping_address", &address)?;
        let (from, to) = shipping_dates.unzip();
        s.serialize_field("shipping_date_from", &from.map(local))?;
        s.serialize_field("shipping_date_to", &to.map(local))?;
        s.serialize_field("order_item_list", &Items(&order.items))?;
        s.serialize_field("comment", &content.comment)?;
        s.serialize_field("ask_for_checkout", &content.ask_for_checkout)?;
        s.serialize_field(
            "count_of_returned_bottles",
            &content.count_of_returned_bottles,
        )?;
        s.end()
    }
}

struct Items<'a>(&'a [OrderItem]);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Item<'a> {
            name: Option<&'a str>,
            quantity: i32,
            price: Number,
            product_id: Option<i32>,
            order_product_id: Option<i64>,
        }
        serializer.collect_seq(self.0.iter().map(|item| Item {
            name: item.name.as_deref(),
            quantity: item.quantity,
            price: Number(item.price),
            product_id: item.product_number,
            order_product_id: item.order_product_id,
        }))
    }
}

struct ClientAnswer<'a> {
    client: &'a Client,
    rules: &'a Rules,
    shape: Shape,
    is_stored: bool,
}

impl Serialize for ClientAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Requisites<'a> {
            bank_account: &'a BankAccount,
        }
        let Self {
            client,
            rules,
            shape,
            is_stored,
        } = self;
        let none = BankAccount::default();
        let loyalty = client
            .loyalty_system_is_active
            .unwrap_or(rules.loyalty_system_is_active);
        let mut s = serializer.serialize_struct("Client", 14)?;
        s.serialize_field("id", &given(client.number))?;
        s.serialize_field("external_id", &client.sender_id)?;
        // A client has a name; it is empty where it is not to be shown.
        let username = Some(&client.username).filter(|name| !name.is_empty());
        s.serialize_field("username", &username)?;
        s.serialize_field("comment", &client.comment)?;
        s.serialize_field("email", &client.email)?;
        s.serialize_field("account_number", &account_number(client))?;
        s.serialize_field("type", client.kind.as_str())?;
        s.serialize_field("phones", &Phones(client, rules.phone_region))?;
        let addresses = &client.addresses;
        match addresses.answered(|| Addresses(addresses)) {
            Some(answered) => s.serialize_field("addresses", answered)?,
            None => s.serialize_field("addresses", &Addresses(addresses))?,
        }
        s.serialize_field(
            "requisites",
            &Requisites {
                bank_account: client.bank_account.as_ref().unwrap_or(&none),
            },
        )?;
        s.serialize_field("legal_address", &client.legal_address)?;
        let prices = &client.prices;
        match (shape, prices.answered(|| Prices(prices))) {
            (Shape::Feed, _) => s.serialize_field("product_price_list", &PriceList(prices))?,
            (Shape::Document, Some(answered)) => {
                s.serialize_field("product_price_list", answered)?;
            }
            (Shape::Document, None) => {
                s.serialize_field("product_price_list", &Prices(prices))?;
            }
        }
        let coins = is_stored.then_some(Number(client.coins_amount));
        s.serialize_field("coins_amount", &coins)?;
        s.serialize_field("loyalty_system_is_active", &loyalty)?;
        s.end()
    }
}

/// The phone first, then the others, each once.
struct Phones<'a>(&'a Client, phone::Region);

impl Serialize for Phones<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Client { phone, phones, .. } = self.0;
        let mut s = serializer.serialize_seq(None)?;
        for phone in phone
            .iter()
            .chain(phones.iter().filter(|other| Some(*other) != phone.as_ref()))
        {
            s.serialize_element(phone::answered(phone, self.1))?;
        }
        s.end()
    }
}

/// A client's prices, by the products' numbers.
struct Prices<'a>(&'a [ClientPrice]);

impl Serialize for Prices<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let by_number = |price: &ClientPrice| price.product_number.to_string();
        serializer.collect_map(
            self.0
                .iter()
                .map(|price| (by_number(price), Price::of(price))),
        )
    }
}

/// The same as a list.
struct PriceList<'a>(&'a [ClientPrice]);

impl Serialize for PriceList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Price::of))
    }
}

#[derive(Serialize)]
struct Price<'a> {
    product_id: i32,
    external_product_id: Option<&'a str>,
    price: String,
    active: bool,
}

impl<'a> Price<'a> {
    fn of(price: &'a ClientPrice) -> Self {
        Self {
            product_id: price.product_number,
            external_product_id: price.external_product_id.as_deref(),
            price: format!("{:.2}", price.price),
            active: price.active,
        }
    }
}

struct Addresses<'a>(&'a [Address]);

impl Serialize for Addresses<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(AddressAnswer::listed))
    }
}

struct AddressAnswer<'a> {
    /// The client's address; `None` where its list had no room for it.
    address: Option<&'a Address>,
    content: &'a AddressContent,
    shipping: bool,
}

impl<'a> AddressAnswer<'a> {
    fn listed(address: &'a Address) -> Self {
        Self {
            address: Some(address),
            content: &address.content,
            shipping: false,
        }
    }

    /// The order's own copy; the client's address may say something else by now.
    fn shipping(order: &'a Order, client: &'a Client) -> Self {
        Self {
            address: order
                .address_number
                .and_then(|number| client.address(number)),
            content: &order.shipping_address,
            shipping: true,
        }
    }
}

impl Serialize for AddressAnswer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            address, content, ..
        } = self;
        let mut s = serializer.serialize_struct("Address", 12)?;
        let number = address.and_then(|address| given(address.number));
        let sender_id = address.and_then(|address| address.sender_id.as_ref());
        s.serialize_field("id", &number)?;
        if self.shipping {
            s.serialize_field("user_address_id", &number)?;
        }
        s.serialize_field("external_id", &sender_id)?;
        let district = address.and_then(|address| address.district_name.as_deref());
        s.serialize_field("name", &address_name(content, district))?;
        s.serialize_field("city", &content.city)?;
        s.serialize_field("street", &content.street)?;
        s.serialize_field("house", &content.house)?;
        s.serialize_field("room", &content.room)?;
        s.serialize_field("entrance", &content.entrance)?;
        s.serialize_field("floor", &content.floor)?;
        let district = address.and_then(|address| address.district_number);
        s.serialize_field("district_id", &district)?;
        s.serialize_field("str", &content.str)?;
        s.end()
    }
}

/// `Кутузова, д. 21, эт. 1, кв./оф. 1, под. 2, г. Сыктывкар – Орбита`, absent parts left out (contract §6).
#[must_use]
pub fn address_name(content: &AddressContent, district: Option<&str>) -> String {
    if content.is_erased() {
        return String::new();
    }
    let mut name = format!("{}, д. {}", content.street, content.house);
    for (label, part) in [
        (", эт. ", &content.floor),
        (", кв./оф. ", &content.room),
        (", под. ", &content.entrance),
    ] {
        if let Some(part) = part {
            name.push_str(label);
            name.push_str(part);
        }
    }
    name.push_str(", г. ");
    name.push_str(&content.city);
    if let Some(district) = district {
        name.push_str(" – ");
        name.push_str(district);
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::order::world::read;

    #[test]
    fn an_entry_has_the_id_as_it_came_and_else_its_place() {
        let keys_of = |ids: &[Value]| {
            let orders: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
            let elements = read(&orders);
            (keys(&elements), keys_as_sent(&elements))
        };
        let as_they_are = |ids: &[&str]| {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            (ids.clone(), ids)
        };
        for (ids, keys) in [
            (
                vec![json!("b"), json!("a"), json!("b")],
                as_they_are(&["b", "a"]),
            ),
            (
                vec![json!(""), json!("a"), json!(0)],
                as_they_are(&["#0", "a", "#2"]),
            ),
            (vec![json!(null), json!("#0")], as_they_are(&["##0", "#0"])),
            (
                vec![json!(" 68 ")],
                (vec!["68".into()], vec![" 68 ".into()]),
            ),
            (vec![json!("68.0"), json!(" 68.0")], as_they_are(&["68.0"])),
        ] {
            assert_eq!(keys_of(&ids), keys, "{ids:?}");
        }
    }
}
