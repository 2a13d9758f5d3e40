//! A stored order in the shape of a request, from the fields that the reader reads ([`super::fields`]): what a target is sent
//! (contract §8.3).

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{
    Serialize, Serializer,
    ser::{Error, SerializeMap},
};

use super::{
    amount::Number,
    content::Shown,
    fields::{ADDRESS, CLIENT, Field, ORDER, ORDER_ITEM, SHIPPING_ADDRESS},
    model::{Address, AddressContent, Client, Order, OrderItem},
};

/// Whose ids stand where (contract §4: inbound `id` is the sender's, outbound it is the receiver's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// As the order's sender sent it, with the number that the target gave the order earlier. Guests are guests.
    Senders {
        number_there: Option<i32>,
        /// Whether the client's number is the target's own, by which it may know the client alone.
        client_is_numbered_there: bool,
    },
    /// `id` is our number, `external_id` the sender's id. Without `coins`: the app takes points at each import.
    Ours,
}

/// One order as a request has it. A field that is empty is there as `null`, so that it is cleared where it was filled before.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub order: &'a Order,
    pub client: &'a Client,
    pub ids: Ids,
}

impl Request<'_> {
    /// The id by which the order is named in the request, and by which the answer names it.
    #[must_use]
    pub fn id(&self) -> String {
        match self.ids {
            Ids::Senders { .. } => self.order.sender_id.clone(),
            Ids::Ours => self.order.number.to_string(),
        }
    }
}

/// Writes an object's fields in the table's order. A field that `write` leaves out is not there.
fn object<S: Serializer>(
    serializer: S,
    fields: &[Field],
    write: impl Fn(&mut S::SerializeMap, &'static str) -> Result<(), S::Error>,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for field in fields {
        write(&mut map, field.name)?;
    }
    map.end()
}

/// A field was added to the table and not here; the tests find it.
fn unknown<E: Error>(field: &str) -> E {
    E::custom(format_args!("nobody says how `{field}` is sent"))
}

/// In the document's form, without a fraction of a second: not everybody reads one.
fn moment(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { order, client, ids } = *self;
        object(serializer, &ORDER.fields, |map, name| match (name, ids) {
            ("id", _) => map.serialize_entry(name, &self.id()),
            ("external_id", Ids::Senders { number_there, .. }) => {
                map.serialize_entry(name, &number_there)
            }
            ("external_id", Ids::Ours) => map.serialize_entry(name, &order.sender_id),
            ("status", _) => map.serialize_entry(name, order.status.as_str()),
            ("created_at", _) => map.serialize_entry(name, &moment(order.created_at)),
            ("total", _) => map.serialize_entry(name, &Number(order.total)),
            ("shipping_date_from", _) => {
                map.serialize_entry(name, &moment(order.shipping_date_from))
            }
            ("shipping_date_to", _) => map.serialize_entry(name, &moment(order.shipping_date_to)),
            ("order_item_list", _) => map.serialize_entry(name, &Each(&order.items, Item)),
            ("client", _) => map.serialize_entry(name, &RequestClient { client, ids }),
            ("shipping_address", _) => {
                let number = match ids {
                    // A number of ours means nothing there: the address is known by its content.
                    Ids::Senders { .. } => None,
                    Ids::Ours => order.address_number,
                };
                let content = &order.shipping_address;
                map.serialize_entry(name, &ShippingAddress { number, content })
            }
            ("coins", Ids::Ours) => Ok(()),
            _ => {
                let content = order.content.fields();
                let found = content.into_iter().find(|(known, _)| *known == name);
                match found.ok_or_else(|| unknown(name))?.1 {
                    Shown::Amount(amount) => map.serialize_entry(name, &amount.map(Number)),
                    Shown::Text(text) => map.serialize_entry(name, &text),
                    Shown::Flag(flag) => map.serialize_entry(name, &flag),
                    Shown::Integer(integer) => map.serialize_entry(name, &integer),
                    Shown::Checkout(checkout) => map.serialize_entry(name, &checkout),
                }
            }
        })
    }
}

/// A list whose entries are written each as `.1` has it.
struct Each<'a, T, W>(&'a [T], W);

impl<'a, T, O: Serialize, W: Fn(&'a T) -> O> Serialize for Each<'a, T, W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// A line, under the sender's ids whoever is to read it.
struct Item<'a>(&'a OrderItem);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let item = self.0;
        object(serializer, &ORDER_ITEM.fields, |map, name| match name {
            "product_id" => map.serialize_entry(name, &item.product_id),
            "id" => map.serialize_entry(name, &item.sender_id),
            "external_id" => map.serialize_entry(name, &item.external_id),
            "name" => map.serialize_entry(name, &item.name),
            "price" => map.serialize_entry(name, &Number(item.price)),
            "quantity" => map.serialize_entry(name, &item.quantity),
            "order_product_id" => map.serialize_entry(name, &item.order_product_id),
            _ => Err(unknown(name)),
        })
    }
}

struct RequestClient<'a> {
    client: &'a Client,
    ids: Ids,
}

impl Serialize for RequestClient<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { client, ids } = *self;
        let phone = client.guest_phone.as_ref().or(client.phone.as_ref());
        let is_numbered_there = matches!(
            ids,
            Ids::Senders {
                client_is_numbered_there: true,
                ..
            }
        );
        let number = is_numbered_there.then_some(client.number);
        // A number that we gave is none of the sender's.
        let account_number = match ids {
            Ids::Senders { .. } if !is_numbered_there => {
                let own = i64::from(client.number);
                client.account_number.filter(|number| *number != own)
            }
            _ => client.account_number,
        };
        object(serializer, &CLIENT.fields, |map, name| match (name, ids) {
            ("id", Ids::Senders { .. }) | ("external_id", Ids::Ours) => {
                map.serialize_entry(name, &client.sender_id)
            }
            ("id", Ids::Ours) => map.serialize_entry(name, &client.number),
            ("external_id", Ids::Senders { .. }) => map.serialize_entry(name, &number),
            ("account_number", _) => map.serialize_entry(name, &account_number),
            ("type", _) => map.serialize_entry(name, client.kind.as_str()),
            ("username", _) => map.serialize_entry(name, &client.username),
            ("phone", _) => map.serialize_entry(name, &phone),
            ("phones", _) => map.serialize_entry(name, &client.phones),
            // Some read the one spelling, some the other.
            ("email" | "emai", _) => map.serialize_entry(name, &client.email),
            ("comment", _) => map.serialize_entry(name, &client.comment),
            ("addresses", _) => {
                let listed = |address| ListedAddress { address, ids };
                map.serialize_entry(name, &Each(&client.addresses, listed))
            }
            _ => Err(unknown(name)),
        })
    }
}

struct ListedAddress<'a> {
    address: &'a Address,
    ids: Ids,
}

impl Serialize for ListedAddress<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { address, ids } = *self;
        object(serializer, &ADDRESS.fields, |map, name| match (name, ids) {
            ("id", Ids::Senders { .. }) | ("external_id", Ids::Ours) => {
                map.serialize_entry(name, &address.sender_id)
            }
            ("id", Ids::Ours) => map.serialize_entry(name, &address.number),
            ("external_id", Ids::Senders { .. }) => map.serialize_entry(name, &None::<i32>),
            _ => content(map, name, &address.content),
        })
    }
}

struct ShippingAddress<'a> {
    number: Option<i32>,
    content: &'a AddressContent,
}

impl Serialize for ShippingAddress<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        object(
            serializer,
            &SHIPPING_ADDRESS.fields,
            |map, name| match name {
                "user_address_id" => map.serialize_entry(name, &self.number),
                _ => content(map, name, self.content),
            },
        )
    }
}

/// A field of what an address says, of either kind.
fn content<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    address: &AddressContent,
) -> Result<(), M::Error> {
    match name {
        "city" => map.serialize_entry(name, &address.city),
        "street" => map.serialize_entry(name, &address.street),
        "house" => map.serialize_entry(name, &address.house),
        "str" => map.serialize_entry(name, &address.str),
        "entrance" => map.serialize_entry(name, &address.entrance),
        "floor" => map.serialize_entry(name, &address.floor),
        "room" => map.serialize_entry(name, &address.room),
        _ => Err(unknown(name)),
    }
}

#[cfg(test)]
mod tests;
