//! One raw JSON element -> one sent order, collecting every fault with its path (contract §2, §3).
//!
//! `kinds` says how the values of a kind are read, `objects` what an order is made of.

mod kinds;
mod objects;
mod pushed;
mod result;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{
    Rules,
    content::SentContent,
    fault::{Fault, Warning},
    fields,
    model::{AddressContent, ClientType, Order, OrderItem, Status},
    sent::Sent,
};
use kinds::Reader;
pub(crate) use kinds::{PLACEHOLDER, is_blank};
pub use pushed::Pushed;
pub use result::OrderResult;

/// One element of a batch, read.
#[derive(Debug, Clone)]
pub struct Element {
    /// Which entry of the answer it belongs to, see [`number_entries`].
    pub entry: usize,
    /// Which of that entry's elements it is.
    pub nth: usize,
    /// The order's id, when there is a usable one; else the element is known by its place.
    pub id: Option<String>,
    /// The id as it came, where that is not the same: the answer's key (contract §2, §3).
    pub id_as_sent: Option<String>,
    /// Our number of the order, as the sender remembers it.
    pub external_id: Option<i32>,
    /// Who ordered, as far as it could be read: also a rejected order's clashes are told (contract §2, "all faults").
    pub client: ClientKey,
    /// Whether `client.username` has a value.
    pub has_username: bool,
    /// Whether its client came with an id that cannot be read; of a cancellation, whether it came and could not be read.
    pub has_unreadable_client: bool,
    /// All that is wrong with it by itself.
    pub faults: Vec<Fault>,
    /// Of an order that comes as `removed`: what is wrong with it unless we know the order, which is then cancelled with what
    /// it has (contract §5). Else nothing.
    pub missing: Vec<Fault>,
    /// What is to be said if it is accepted.
    pub warnings: Vec<Warning>,
    /// The order; `None` when there are faults.
    pub order: Option<SentOrder>,
    /// Of one with faults, where its status and its client could be read.
    pub refused: Option<Refused>,
}

/// What is needed of a refused order to tell whether it is somebody else's: all faults are told (contract §2).
#[derive(Debug, Clone)]
pub struct Refused {
    pub(super) cancels: bool,
    phones: Vec<String>,
}

impl Refused {
    fn of(order: SentOrder) -> Option<Self> {
        let cancels = order.status == Status::Removed;
        let phones = order.client?.phones.into_value();
        Some(Self {
            cancels,
            phones: phones.unwrap_or_default(),
        })
    }
}

impl Element {
    /// False only of a cancellation that came without a readable client.
    pub(super) fn names_client(&self) -> bool {
        self.order
            .as_ref()
            .is_none_or(|order| order.client.is_some())
    }

    /// Whether the order comes as removed.
    pub(super) fn cancels(&self) -> bool {
        let order = self.order.as_ref();
        order.is_some_and(|order| order.status == Status::Removed)
    }

    /// The phones besides the first one.
    pub fn phones(&self) -> impl Iterator<Item = &str> {
        let client = self.order.as_ref().and_then(|order| order.client.as_ref());
        let phones = client.and_then(|client| client.phones.value());
        let phones = phones.or(self.refused.as_ref().map(|refused| &refused.phones));
        phones.into_iter().flatten().map(String::as_str)
    }
}

/// How a sent client is found (contract §4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientKey {
    /// The sender's id.
    pub id: Option<String>,
    /// Our number.
    pub external_id: Option<i32>,
    /// E.164; the key of a guest.
    pub phone: Option<String>,
    /// Our number that came along with a guest's placeholder id. It finds nobody, and may be the guest's own.
    pub guest_number: Option<i32>,
    /// Anybody may post: our number may be guessed. It names nobody without a phone of theirs.
    pub may_be_guessed: bool,
}

impl ClientKey {
    /// The phone that a guest would be known by, where it may be one.
    #[must_use]
    pub fn guest_phone(&self) -> Option<&String> {
        let may_be = !self.is_registered() || self.id.is_none() && self.may_be_guessed;
        self.phone.as_ref().filter(|_| may_be)
    }

    /// Has `id` or `external_id`.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.id.is_some() || self.external_id.is_some()
    }
}

/// An order without faults, as sent. What an order must have is `None` only where [`Element::missing`] says so.
#[derive(Debug, Clone)]
pub struct SentOrder {
    pub(super) status: Status,
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) total: Option<Decimal>,
    pub(super) shipping_dates: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub(super) content: SentContent,
    pub(super) items: Option<Vec<SentItem>>,
    pub(super) client: Option<SentClient>,
    pub(super) shipping_address: Option<SentAddress>,
}

/// A line, as sent.
#[derive(Debug, Clone)]
pub(super) struct SentItem {
    pub product_id: String,
    pub id: Option<String>,
    pub external_id: Option<i32>,
    pub name: Option<String>,
    pub price: Decimal,
    pub quantity: i32,
    pub order_product_id: Option<i64>,
}

impl SentItem {
    /// Whether it is this stored line, with that product.
    pub fn is(&self, product_number: Option<i32>, stored: &OrderItem) -> bool {
        let OrderItem {
            product_id,
            sender_id,
            external_id,
            product_number: stored_product,
            name,
            price,
            quantity,
            order_product_id,
        } = stored;
        self.product_id == *product_id
            && self.id == *sender_id
            && self.external_id == *external_id
            && product_number == *stored_product
            && self.name == *name
            && self.price == *price
            && self.quantity == *quantity
            && self.order_product_id == *order_product_id
    }

    /// The line to store, with that product.
    pub fn with(&self, product_number: Option<i32>) -> OrderItem {
        OrderItem {
            product_id: self.product_id.clone(),
            sender_id: self.id.clone(),
            external_id: self.external_id,
            product_number,
            name: self.name.clone(),
            price: self.price,
            quantity: self.quantity,
            order_product_id: self.order_product_id,
        }
    }
}

impl SentOrder {
    /// Whether it is that order as far as it can be told without its client: lines, sum and days.
    pub(super) fn is_same_as(&self, order: &Order) -> bool {
        let dates = (order.shipping_date_from, order.shipping_date_to);
        let has_lines = |items: &Vec<SentItem>| {
            items.len() == order.items.len()
                && items.iter().zip(&order.items).all(|(sent, stored)| {
                    sent.product_id == stored.product_id
                        && sent.price == stored.price
                        && sent.quantity == stored.quantity
                })
        };
        self.total == Some(order.total)
            && self.shipping_dates == Some(dates)
            && self.items.as_ref().is_some_and(has_lines)
    }
}

/// A client's content, as sent.
#[derive(Debug, Clone)]
pub(super) struct SentClient {
    pub username: Option<String>,
    pub phone: Sent<String>,
    pub phones: Sent<Vec<String>>,
    pub email: Sent<String>,
    pub comment: Sent<String>,
    pub account_number: Option<i64>,
    pub kind: Sent<ClientType>,
    pub addresses: Vec<SentAddress>,
}

/// An address, as sent: of the client's list, or the order's (whose number is `user_address_id`).
#[derive(Debug, Clone)]
pub(super) struct SentAddress {
    pub id: Option<String>,
    pub number: Option<i32>,
    /// A `user_address_id` came that can be no number of ours.
    pub impossible_number: bool,
    pub city: String,
    pub street: String,
    pub house: String,
    pub str: String,
    pub entrance: Sent<String>,
    pub floor: Sent<String>,
    pub room: Sent<String>,
}

impl SentAddress {
    /// Its content as if nothing were stored.
    pub fn content(&self) -> AddressContent {
        AddressContent {
            city: self.city.clone(),
            street: self.street.clone(),
            house: self.house.clone(),
            str: self.str.clone(),
            entrance: self.entrance.value().cloned(),
            floor: self.floor.value().cloned(),
            room: self.room.value().cloned(),
        }
    }

    /// Whether this is a stored content, as it is known again by (contract §4).
    #[must_use]
    pub fn is(&self, stored: &AddressContent) -> bool {
        self.city == stored.city
            && self.street == stored.street
            && self.house == stored.house
            && self.str == stored.str
            && self.entrance.value() == stored.entrance.as_ref()
            && self.floor.value() == stored.floor.as_ref()
            && self.room.value() == stored.room.as_ref()
    }

    /// Whether it is at the door of a stored content: in the same house.
    #[must_use]
    pub fn is_at(&self, stored: &AddressContent) -> bool {
        (&self.city, &self.street, &self.house) == (&stored.city, &stored.street, &stored.house)
    }

    /// Whether [`Self::apply`] would change a stored content.
    #[must_use]
    pub fn changes(&self, stored: &AddressContent) -> bool {
        self.city != stored.city
            || self.street != stored.street
            || self.house != stored.house
            || self.str != stored.str
            || self.entrance.changes(stored.entrance.as_ref())
            || self.floor.changes(stored.floor.as_ref())
            || self.room.changes(stored.room.as_ref())
    }

    /// Overwrites a stored content field by field.
    pub fn apply(&self, stored: &mut AddressContent) {
        stored.city.clone_from(&self.city);
        stored.street.clone_from(&self.street);
        stored.house.clone_from(&self.house);
        stored.str.clone_from(&self.str);
        self.entrance.apply(&mut stored.entrance);
        self.floor.apply(&mut stored.floor);
        self.room.apply(&mut stored.room);
    }

    /// A stored content, overwritten so.
    pub fn applied_to(&self, stored: &AddressContent) -> AddressContent {
        let mut content = stored.clone();
        self.apply(&mut content);
        content
    }
}

impl SentOrder {
    /// The sender's ids of products that its lines name.
    pub fn product_ids(&self) -> impl Iterator<Item = &str> {
        self.items.iter().flatten().flat_map(|item| {
            let other = item.id.as_deref().filter(|id| *id != item.product_id);
            std::iter::once(item.product_id.as_str()).chain(other)
        })
    }

    /// The numbers of addresses that it names.
    pub fn address_numbers(&self) -> impl Iterator<Item = i32> {
        self.client_addresses()
            .iter()
            .chain(&self.shipping_address)
            .filter_map(|address| address.number)
    }

    /// The client's list.
    pub(super) fn client_addresses(&self) -> &[SentAddress] {
        self.client.as_ref().map_or(&[], |client| &client.addresses)
    }

    /// How many addresses it sends, at most so many are new.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.client_addresses().len() + 1
    }
}

/// Tells the elements of a batch which entry of the answer each belongs to: one for each distinct id, in the order of first
/// appearance, and one for each element without a usable id (contract §2). Returns how many entries there are.
pub fn number_entries(elements: &mut [Element]) -> usize {
    let mut by_id = HashMap::with_capacity(elements.len());
    let mut entries: Vec<usize> = Vec::with_capacity(elements.len());
    for element in elements {
        element.entry = match &element.id {
            Some(id) => *by_id.entry(id.as_str()).or_insert(entries.len()),
            None => entries.len(),
        };
        if element.entry == entries.len() {
            entries.push(0);
        }
        let elements = &mut entries[element.entry];
        element.nth = *elements;
        *elements += 1;
    }
    entries.len()
}

/// Reads what a back office says of an order. Its faults, where there is one that costs it; and its warnings.
pub fn parse_result(
    element: &str,
    rules: &Rules,
) -> (Result<OrderResult, Vec<Fault>>, Vec<Warning>) {
    Reader::new(element, rules, fields::RESULT.fields.len()).result()
}

/// Reads what a 1C pushes of an order. Never fails: what is wrong with it stands in its faults.
pub fn parse_pushed(element: &str, rules: &Rules) -> Pushed {
    Reader::new(element, rules, fields::PUSHED.fields.len()).pushed()
}

/// Reads one element of a batch. Never fails: what is wrong with it stands in its faults, no more than `most_faults` of them,
/// and so do its warnings.
#[must_use]
pub fn parse(element: &str, rules: &Rules, most_faults: usize) -> Element {
    Reader::new(element, rules, most_faults).element()
}
