//! What batches conflict on: the orders and clients that they name, as hashes.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use crate::order::wire::Element;

/// The orders and clients that a batch names. Batches with a key in common conflict, and keep their order of arrival.
#[derive(Debug, Default)]
pub struct ConflictKeys {
    pub orders: HashSet<u64>,
    pub clients: HashSet<u64>,
}

impl ConflictKeys {
    pub fn extend(&mut self, more: &Self) {
        self.orders.extend(&more.orders);
        self.clients.extend(&more.clients);
    }

    pub fn iter(&self) -> impl Iterator<Item = &u64> {
        self.orders.iter().chain(&self.clients)
    }

    pub fn conflicts_with(&self, others: &Self) -> bool {
        !self.orders.is_disjoint(&others.orders) || !self.clients.is_disjoint(&others.clients)
    }
}

/// Makes the keys. They are compared by hash alone, so the hash is a random one: nobody can make his order collide with
/// another's.
#[derive(Debug, Default)]
pub struct KeyHasher(RandomState);

impl KeyHasher {
    pub fn order(&self, element: &Element) -> impl Iterator<Item = u64> {
        let id = element.id.as_deref();
        let number = element.external_id;
        [
            id.map(|id| self.0.hash_one((0, id))),
            number.map(|number| self.0.hash_one((1, number))),
        ]
        .into_iter()
        .flatten()
    }

    pub fn client_of(&self, element: &Element) -> impl Iterator<Item = u64> {
        let client = &element.client;
        let guest_phone = client.guest_phone().map(String::as_str);
        self.client(client.id.as_deref(), client.external_id, guest_phone)
    }

    pub fn client(
        &self,
        id: Option<&str>,
        number: Option<i32>,
        guest_phone: Option<&str>,
    ) -> impl Iterator<Item = u64> {
        [
            id.map(|id| self.0.hash_one((2, id))),
            number.map(|number| self.0.hash_one((3, number))),
            guest_phone.map(|phone| self.0.hash_one((4, phone))),
        ]
        .into_iter()
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Rules, wire};

    #[test]
    fn batches_conflict_on_an_order_a_client_or_a_guests_phone() {
        let hasher = KeyHasher::default();
        let keys = |order: &str| {
            let element = wire::parse(order, &Rules::with_limits(500, 100), usize::MAX);
            ConflictKeys {
                orders: hasher.order(&element).collect(),
                clients: hasher.client_of(&element).collect(),
            }
        };
        let guest = r#"{"id": "a", "client": {"phone": "+7 900 000-00-00"}}"#;
        for (one, other, conflict) in [
            (r#"{"id": "a"}"#, r#"{"id": "a"}"#, true),
            (r#"{"id": "a"}"#, r#"{"id": "b"}"#, false),
            (r#"{"external_id": 7}"#, r#"{"external_id": 7}"#, true),
            (r#"{"id": "7"}"#, r#"{"external_id": 7}"#, false),
            (
                r#"{"client": {"id": "a"}}"#,
                r#"{"client": {"id": "a"}}"#,
                true,
            ),
            (r#"{"client": {"id": "a"}}"#, r#"{"id": "a"}"#, false),
            (
                guest,
                r#"{"id": "b", "client": {"phone": "89000000000"}}"#,
                true,
            ),
            // A guest is never matched with a registered client.
            (
                guest,
                r#"{"id": "b", "client": {"id": "c", "phone": "89000000000"}}"#,
                false,
            ),
        ] {
            assert_eq!(
                keys(one).conflicts_with(&keys(other)),
                conflict,
                "{one} {other}"
            );
        }
    }
}
