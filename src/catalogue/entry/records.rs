//! What a line says of a district, a product, a client or an order.

use rust_decimal::Decimal;

use crate::order::{
    model::{AddressContent, ClientType, Status},
    sent::Sent,
};

#[derive(Debug, Clone, PartialEq)]
pub struct District {
    /// Its first line.
    pub line: usize,
    pub number: Option<i32>,
    /// Required of a new one.
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Its first line.
    pub line: usize,
    /// Its number; else one of `sender_ids` tells which product is meant.
    pub number: Option<i32>,
    /// Ids that are to mean this product, besides those that do already.
    pub sender_ids: Vec<String>,
    /// Required of a new one.
    pub name: Option<String>,
    pub active: Sent<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Its first line.
    pub line: usize,
    pub number: Option<i32>,
    pub sender_id: Option<String>,
    /// Required of a new one.
    pub username: Option<String>,
    pub kind: Sent<ClientType>,
    /// E.164.
    pub phone: Sent<String>,
    /// E.164.
    pub phones: Sent<Vec<String>>,
    pub email: Sent<String>,
    pub comment: Sent<String>,
    pub account_number: Option<i64>,
    /// The document's six keys, in their order.
    pub bank_account: [Sent<String>; 6],
    pub legal_address: Sent<Vec<String>>,
    pub coins_amount: Sent<Decimal>,
    pub loyalty_system_is_active: Sent<bool>,
    /// Added or changed; none is removed.
    pub addresses: Vec<Address>,
    /// Added or changed; none is removed.
    pub prices: Vec<Price>,
}

/// What a file says of an address of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Address {
    pub line: usize,
    /// Its number; else `sender_id`, else the content tells which address is meant.
    pub number: Option<i32>,
    pub sender_id: Option<String>,
    /// Required of a new one.
    pub city: Option<String>,
    /// Required of a new one.
    pub street: Option<String>,
    /// Required of a new one.
    pub house: Option<String>,
    /// Required of a new one.
    pub str: Option<String>,
    pub entrance: Sent<String>,
    pub floor: Sent<String>,
    pub room: Sent<String>,
    pub district: Sent<i32>,
}

impl Address {
    /// Its content as if nothing were stored; `Err` names what is missing.
    pub(in crate::catalogue) fn content(&self) -> Result<AddressContent, Vec<&'static str>> {
        if let (Some(city), Some(street), Some(house), Some(str)) =
            (&self.city, &self.street, &self.house, &self.str)
        {
            return Ok(AddressContent {
                city: city.clone(),
                street: street.clone(),
                house: house.clone(),
                str: str.clone(),
                entrance: self.entrance.value().cloned(),
                floor: self.floor.value().cloned(),
                room: self.room.value().cloned(),
            });
        }
        let fields = [
            (&self.city, "city"),
            (&self.street, "street"),
            (&self.house, "house"),
            (&self.str, "str"),
        ];
        let missing = fields.into_iter().filter(|(field, _)| field.is_none());
        Err(missing.map(|(_, name)| name).collect())
    }

    /// Overwrites a stored content field by field.
    pub(in crate::catalogue) fn apply(&self, stored: &mut AddressContent) {
        let set = |stored: &mut String, told: &Option<String>| {
            if let Some(told) = told {
                stored.clone_from(told);
            }
        };
        set(&mut stored.city, &self.city);
        set(&mut stored.street, &self.street);
        set(&mut stored.house, &self.house);
        set(&mut stored.str, &self.str);
        self.entrance.apply(&mut stored.entrance);
        self.floor.apply(&mut stored.floor);
        self.room.apply(&mut stored.room);
    }
}

/// An order that the back office had before it came to us: it keeps its number when it comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Its first line.
    pub line: usize,
    pub sender_id: Option<String>,
    /// Required of a new one.
    pub number: Option<i32>,
    /// Required of a new one.
    pub status: Option<Status>,
    pub receiver_number: Sent<String>,
    pub receiver_uid: Sent<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    pub line: usize,
    pub product: i32,
    pub price: Decimal,
    pub active: Sent<bool>,
}
