//! What a decision changes, as rows to write: only what is new or differs from what is stored.

use super::{
    decide::Decision,
    model::{Address, Client, Order, OrderItem},
    record::Record,
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::order::world::{World, address, order};

    /// The rows that a batch writes: `order 100 v1` is one that was read with version 1, `+` one that was not there.
    fn written(world: &mut World, orders: &[Value]) -> Vec<String> {
        let how = |version: i32| match version {
            0 => "+".to_owned(),
            version => format!("v{version}"),
        };
        world.send_and(orders, |_, decision| {
            let changes = changes(decision);
            let mut rows = Vec::new();
            for (version, client) in &changes.clients {
                rows.push(format!("client {} {}", client.number, how(*version)));
            }
            for (is_new, client, address) in &changes.addresses {
                let how = if *is_new { "+" } else { "changed" };
                rows.push(format!("address {} of {client} {how}", address.number));
            }
            for (version, order) in &changes.orders {
                rows.push(format!("order {} {}", order.number, how(*version)));
            }
            for item in &changes.items {
                let how = if item.is_new { "+" } else { "changed" };
                rows.push(format!("line {} {how}", item.position));
            }
            for (_, count) in &changes.shortened {
                rows.push(format!("lines after {count} -"));
            }
            rows
        })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut order = order("a", &[], 2);
        order[field] = value;
        order
    }

    #[test]
    fn what_is_new_or_differs_is_written_and_nothing_else() {
        let named = |house: usize| {
            let mut address = address(house);
            address["id"] = json!("home");
            address
        };
        let client = |name: &str| json!({ "id": "one", "username": name });
        let sent = [
            (
                "a new order, with its client",
                order("a", &[], 2),
                vec![
                    "client 100 +",
                    "address 100 of 100 +",
                    "order 100 +",
                    "line 0 +",
                    "line 1 +",
                ],
            ),
            ("the same again", order("a", &[], 2), vec![]),
            (
                "a field of the order",
                with("total", json!(2)),
                vec!["order 100 v1"],
            ),
            (
                "a name",
                with("client", client("Два")),
                vec!["client 100 v1"],
            ),
            (
                "an address: its client is changed with it",
                order("a", &[named(2)], 2),
                vec!["client 100 v1", "address 101 of 100 +"],
            ),
            (
                "a line less",
                order("a", &[], 1),
                vec!["order 100 v1", "lines after 1 -"],
            ),
            (
                "a line more",
                order("a", &[], 3),
                vec!["order 100 v1", "line 2 +"],
            ),
        ];
        for (what, order, rows) in sent {
            let mut world = World::default();
            if !what.starts_with("a new order") {
                written(&mut world, &[self::order("a", &[], 2)]);
            }
            assert_eq!(written(&mut world, &[order]), rows, "{what}");
        }
    }

    #[test]
    fn a_change_that_is_taken_back_in_its_batch_writes_nothing() {
        let mut world = World::default();
        written(&mut world, &[order("a", &[], 2)]);
        let batch = [with("total", json!(2)), order("a", &[], 2)];
        assert_eq!(written(&mut world, &batch), [""; 0]);
    }

    #[test]
    fn records_come_in_an_order_that_all_writers_share() {
        let mut world = World::default();
        let rows = written(&mut world, &[order("b", &[], 1), order("a", &[], 1)]);
        let orders = rows.iter().filter(|row| row.starts_with("order"));
        assert_eq!(orders.collect::<Vec<_>>(), ["order 101 +", "order 100 +"]);
    }
}
