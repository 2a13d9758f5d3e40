//! What a batch asks the store for, and what the store answers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use indexmap::IndexSet;

use super::{
    model::{Client, Order, Status},
    wire::Element,
};

/// All keys of a batch, each once and in the order in which they came: what to read in one statement.
#[derive(Debug, Default, Clone)]
pub struct Keys<'k> {
    /// The sender's ids of orders.
    pub order_ids: IndexSet<&'k str>,
    /// Our numbers of orders, as sent.
    pub order_numbers: IndexSet<i32>,
    /// The sender's ids of clients.
    pub client_ids: IndexSet<&'k str>,
    /// Our numbers of clients, as sent.
    pub client_numbers: IndexSet<i32>,
    /// Phones of guests, E.164.
    pub guest_phones: IndexSet<&'k str>,
    /// The sender's ids of products.
    pub product_ids: IndexSet<&'k str>,
    /// Our numbers of addresses, as sent.
    pub address_numbers: IndexSet<i32>,
    /// Whether an order may come without its client.
    pub orders_clients: bool,
}

impl<'k> Keys<'k> {
    /// Adds what one element names.
    pub fn add(&mut self, element: &'k Element) {
        self.order_ids.extend(element.id.as_deref());
        self.order_numbers.extend(element.external_id);
        let client = &element.client;
        self.client_ids.extend(client.id.as_deref());
        self.client_numbers.extend(client.external_id);
        self.guest_phones
            .extend(client.guest_phone().map(String::as_str));
        self.orders_clients |= !element.missing.is_empty();
        if let Some(order) = &element.order {
            self.product_ids.extend(order.product_ids());
            self.address_numbers.extend(order.address_numbers());
        }
    }
}

/// What is stored under those keys, all of one moment.
#[derive(Debug)]
pub struct Known {
    /// The database's clock at the reading.
    pub now: DateTime<Utc>,
    /// Orders found by their id, with their lines.
    pub orders: Vec<Arc<Order>>,
    /// Those of the sent numbers that orders bear, whosever.
    pub order_numbers: BTreeSet<i32>,
    /// Clients found by id, number or guest's phone, and those of the orders, with all their addresses and prices.
    pub clients: Vec<Arc<Client>>,
    /// Those of the sent numbers that addresses bear, whosever.
    pub address_numbers: BTreeSet<i32>,
    /// Our numbers of products, by the sender's id.
    pub products: HashMap<String, i32>,
    /// The version of the catalogue, where orders were imported.
    pub imports: Option<i64>,
    /// Number and status of imported orders, by the sender's id: those of the sent ids, and those whose number was sent.
    pub imported: HashMap<String, (i32, Status)>,
}
