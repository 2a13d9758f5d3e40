//! What a decision changes, as rows to write: only what is new or differs from what is stored.

use super::{
    decide::{Decision, Record},
    model::{Address, Client, Order, OrderItem},
};

/// A line to write.
#[derive(Debug)]
pub struct ItemChange<'d> {
    /// Whose line.
    pub order_number: i32,
    /// Its place.
    pub position: usize,
    /// Whether its place was empty.
    pub is_new: bool,
    /// The line as it is to be.
    pub item: &'d OrderItem,
}

/// All rows to write. Clients and orders carry the version they were read with; 0 is a new one.
#[derive(Debug, Default)]
pub struct Changes<'d> {
    /// (version, client): a client is also changed when an address of it is.
    pub clients: Vec<(i32, &'d Client)>,
    /// (is new, number of the client, address)
    pub addresses: Vec<(bool, i32, &'d Address)>,
    /// (version, order): an order is also changed when a line of it is.
    pub orders: Vec<(i32, &'d Order)>,
    /// Lines.
    pub items: Vec<ItemChange<'d>>,
    /// Orders that have fewer lines than before, and how many.
    pub shortened: Vec<(i32, usize)>,
}

impl Changes<'_> {
    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.orders.is_empty()
    }

    /// Nothing but rows that were not there.
    #[must_use]
    pub fn is_only_new(&self) -> bool {
        self.updates() == 0 && self.shortened.is_empty()
    }

    /// How many rows it writes.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.clients.len() + self.addresses.len() + self.orders.len() + self.items.len()
    }

    /// How many rows must be there still, clients and orders with the version they were read with.
    #[must_use]
    pub fn updates(&self) -> usize {
        let stored = |version: i32| version > 0;
        let clients = self.clients.iter().filter(|(version, _)| stored(*version));
        let addresses = self.addresses.iter().filter(|(is_new, _, _)| !is_new);
        let orders = self.orders.iter().filter(|(version, _)| stored(*version));
        let items = self.items.iter().filter(|item| !item.is_new);
        clients.count() + addresses.count() + orders.count() + items.count()
    }
}

/// The rows that a decision changes. Clients and orders come in the order of what everybody knows them by, so that
/// writers that meet wait for one another and never in a ring; numbers would not do, for each writer gives new records
/// its own.
#[must_use]
pub fn changes<'d>(decision: &'d Decision<'_>) -> Changes<'d> {
    let mut changes = Changes::default();
    for record in &decision.clients {
        if record.is_unchanged() {
            continue;
        }
        let Record { before, after } = record;
        changes
            .clients
            .push((before.map_or(0, |client| client.version), after));
        if before.is_some_and(|client| client.addresses == after.addresses) {
            continue;
        }
        for address in &after.addresses {
            let stored = before.and_then(|client| client.address(address.number));
            if stored != Some(address) {
                changes
                    .addresses
                    .push((stored.is_none(), after.number, address));
            }
        }
    }
    for record in &decision.orders {
        if record.is_unchanged() {
            continue;
        }
        let Record { before, after } = record;
        changes
            .orders
            .push((before.map_or(0, |order| order.version), after));
        let stored = before.map_or(&[][..], |order| &order.items[..]);
        for (position, item) in after.items.iter().enumerate() {
            if stored.get(position) != Some(item) {
                changes.items.push(ItemChange {
                    order_number: after.number,
                    position,
                    is_new: position >= stored.len(),
                    item,
                });
            }
        }
        if after.items.len() < stored.len() {
            changes.shortened.push((after.number, after.items.len()));
        }
    }
    changes.clients.sort_unstable_by_key(|(_, client)| {
        (&client.sender_id, &client.guest_phone, client.number)
    });
    changes
        .addresses
        .sort_unstable_by_key(|(_, _, address)| address.number);
    changes
        .orders
        .sort_unstable_by_key(|(_, order)| &order.sender_id);
    changes
        .items
        .sort_unstable_by_key(|change| (change.order_number, change.position));
    changes
}
