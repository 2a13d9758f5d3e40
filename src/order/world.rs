//! A store without a database, for one publication.

use std::{cell::Cell, collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Rules,
    decide::{Batch, Decision, FreeNumbers, decide},
    diff,
    fault::Language,
    known::{Keys, Known},
    model::{Client, Order},
    reply::{Envelope, Stored},
    wire::{self, Element},
};

pub(super) const MANY: usize = 60_000;
/// What [`World`] gives a client.
pub(super) const MOST_ADDRESSES: usize = 6;

fn rules() -> Rules {
    Rules::with_limits(MANY, MANY)
}

pub(super) fn address(house: usize) -> Value {
    json!({ "city": "Эжва", "street": "Мира", "house": house.to_string(), "str": "Мира" })
}

/// An order of the client `one`.
pub(super) fn order(id: &str, addresses: &[Value], items: usize) -> Value {
    json!({
        "id": id, "status": "new", "total": 1,
        "shipping_date_from": "2026-11-06T11:00:00Z", "shipping_date_to": "2026-11-06T18:00:00Z",
        "order_item_list": vec![json!({ "product_id": "w", "price": 1, "quantity": 1 }); items],
        "client": { "id": "one", "username": "Один", "addresses": addresses },
        "shipping_address": address(1),
    })
}

pub(super) fn read(orders: &[Value]) -> Vec<Element> {
    read_where(false, orders)
}

pub(super) fn read_where(anybody_may_post: bool, orders: &[Value]) -> Vec<Element> {
    let rules = Rules {
        anybody_may_post,
        ..rules()
    };
    let elements = orders.iter();
    let mut elements: Vec<_> = elements
        .map(|order| wire::parse(&order.to_string(), &rules, usize::MAX))
        .collect();
    wire::number_entries(&mut elements);
    elements
}

/// The answer to the only batch of a decision.
pub(super) fn answer(elements: &[Element], decision: &Decision<'_>, answers_stored: bool) -> Value {
    let rules = Rules {
        answers_stored,
        ..rules()
    };
    let envelope = Envelope {
        elements,
        verdicts: &decision.verdicts[0],
        stored: &Stored::of(decision),
        rules: &rules,
        language: Language::En,
    };
    let json = envelope.to_json().expect("an answer").concat();
    serde_json::from_slice(&json).expect("JSON")
}

/// The catalogue.
const PRODUCTS: [(&str, i32); 2] = [("w", 1), ("v", 2)];

/// All that is stored, and what is read of it for a batch.
#[derive(Debug, Default, Clone)]
pub(super) struct World {
    pub(super) orders: Vec<Arc<Order>>,
    pub(super) clients: Vec<Arc<Client>>,
    pub(super) anybody_may_post: bool,
    /// Minutes since the first batch.
    pub(super) clock: Cell<i64>,
}

impl World {
    pub(super) fn known(&self, batches: &[&[Element]]) -> Known {
        let mut keys = Keys::default();
        for element in batches.iter().copied().flatten() {
            keys.add(element);
        }
        let is_named = |order: &&Arc<Order>| keys.order_ids.contains(order.sender_id.as_str());
        let orders: Vec<_> = self.orders.iter().filter(is_named).cloned().collect();
        let clients = self.clients.iter().filter(|client| {
            let id = client.sender_id.as_deref();
            let phone = client.guest_phone.as_deref();
            id.is_some_and(|id| keys.client_ids.contains(id))
                || phone.is_some_and(|phone| keys.guest_phones.contains(phone))
                || keys.client_numbers.contains(&client.number)
                || orders.iter().any(|o| o.client_number == client.number)
        });
        let clients: Vec<_> = clients.cloned().collect();
        let addresses = self.clients.iter().flat_map(|client| &client.addresses);
        let address_numbers = addresses.map(|address| address.number);
        let order_numbers = self.orders.iter().map(|order| order.number);
        Known {
            now: DateTime::UNIX_EPOCH,
            order_numbers: order_numbers
                .filter(|number| keys.order_numbers.contains(number))
                .collect(),
            address_numbers: address_numbers
                .filter(|number| keys.address_numbers.contains(number))
                .collect(),
            products: PRODUCTS.map(|(id, number)| (id.to_owned(), number)).into(),
            orders,
            clients,
            imports: None,
            imported: std::collections::HashMap::new(),
        }
    }

    /// Takes batches in, in one transaction; says what that changed, and what became of their entries: our number
    /// of the order, of its client and of its address.
    pub(super) fn take(
        &mut self,
        batches: &[&[Element]],
    ) -> (String, Vec<Option<[Option<i32>; 3]>>) {
        let known = self.known(batches);
        let decision = self.decide(&known, batches);
        let changes = diff::changes(&decision);
        let told = if changes.is_empty() {
            String::new()
        } else {
            format!("{changes:?}")
        };
        let verdicts = decision.verdicts.iter().flatten();
        let became = verdicts
            .map(|verdict| {
                let reasons = verdict.faults().len();
                assert!(verdict.is_accepted() || reasons > 0, "{verdict:?}");
                let order = &decision.orders[verdict.order?].after;
                Some([
                    Some(order.number),
                    Some(order.client_number),
                    order.address_number,
                ])
            })
            .collect();
        self.store(&decision);
        (told, became)
    }

    /// Takes one batch in; says what it is answered.
    pub(super) fn send(&mut self, orders: &[Value]) -> Value {
        self.send_and(orders, |elements, decision| {
            answer(elements, decision, true)
        })
    }

    /// Takes one batch in; says what `then` makes of the decision.
    pub(super) fn send_and<T>(
        &mut self,
        orders: &[Value],
        then: impl FnOnce(&[Element], &Decision<'_>) -> T,
    ) -> T {
        let elements = read_where(self.anybody_may_post, orders);
        let known = self.known(&[&elements]);
        let decision = self.decide(&known, &[&elements]);
        self.store(&decision);
        then(&elements, &decision)
    }

    pub(super) fn decide<'k>(&self, known: &'k Known, batches: &[&[Element]]) -> Decision<'k> {
        let none = HashSet::new();
        self.clock.set(self.clock.get() + 1);
        let batches: Vec<_> = batches
            .iter()
            .map(|elements| Batch {
                elements,
                received_at: DateTime::UNIX_EPOCH + TimeDelta::minutes(self.clock.get()),
                refused: &none,
                skipped: &none,
            })
            .collect();
        // What the reserve hands out is nobody's.
        let free = |used: Vec<i32>| (100..).filter(|n| !used.contains(n)).take(100).collect();
        let addresses = self.clients.iter().flat_map(|client| &client.addresses);
        let mut numbers = FreeNumbers {
            order: free(self.orders.iter().map(|o| o.number).collect()),
            client: free(self.clients.iter().map(|c| c.number).collect()),
            address: free(addresses.map(|a| a.number).collect()),
        };
        let decided = decide(
            known,
            &batches,
            &mut numbers,
            MOST_ADDRESSES,
            Uuid::now_v7,
            &|| true,
        );
        decided.expect("there are enough numbers")
    }

    pub(super) fn store(&mut self, decision: &Decision<'_>) {
        let orders: Vec<_> = decision
            .orders
            .iter()
            .map(|r| Arc::clone(&r.after))
            .collect();
        let clients: Vec<_> = decision
            .clients
            .iter()
            .map(|r| Arc::clone(&r.after))
            .collect();
        self.orders
            .retain(|old| orders.iter().all(|o| o.number != old.number));
        self.clients
            .retain(|old| clients.iter().all(|c| c.number != old.number));
        self.orders.extend(orders);
        self.clients.extend(clients);
        self.is_sound();
    }

    /// What the database would insist on.
    fn is_sound(&self) {
        let mut ids = HashSet::new();
        for client in &self.clients {
            assert!(!client.username.is_empty(), "a client without a name");
            let id = client.sender_id.as_ref().or(client.guest_phone.as_ref());
            assert!(id.is_none_or(|id| ids.insert(id)), "{id:?} is stored twice");
        }
        for order in &self.orders {
            let client = self
                .clients
                .iter()
                .find(|c| c.number == order.client_number);
            let client = client.expect("an order has a client");
            let number = order.address_number;
            assert!(number.is_none_or(|number| client.address(number).is_some()));
            assert!(order.shipping_date_from <= order.shipping_date_to);
        }
    }
}
