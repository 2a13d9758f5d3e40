//! Lines that name the same record are one record.

use super::records::{Client, District, Order, Product};
use crate::order::sent::Sent;

/// What tells two lines of one record that they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Number(i32),
    SenderId(String),
}

/// A record that several lines may tell of.
pub(super) trait Record {
    fn line(&self) -> usize;
    fn keys(&self) -> Vec<Key>;
    /// Takes over what a later line says; returns the columns in which the two differ.
    fn merge(&mut self, later: Self) -> Vec<&'static str>;
}

/// A later line repeats what the first says, or leaves it empty.
fn same<T: PartialEq>(first: &mut Option<T>, later: Option<T>) -> bool {
    match (&*first, later) {
        (_, None) => true,
        (None, later) => {
            *first = later;
            true
        }
        (Some(first), Some(later)) => *first == later,
    }
}

/// As [`same`], where being empty says something too.
fn same_sent<T: PartialEq>(first: &mut Sent<T>, later: Sent<T>) -> bool {
    match (&*first, later) {
        (_, Sent::Absent | Sent::Null) => true,
        (Sent::Absent, later) => {
            *first = later;
            true
        }
        (first, later) => *first == later,
    }
}

/// The names of those that are not the same.
fn differing<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    let differing = fields.into_iter().filter(|(_, same)| !same);
    differing.map(|(name, _)| name).collect()
}

impl Record for District {
    fn line(&self) -> usize {
        self.line
    }

    fn keys(&self) -> Vec<Key> {
        self.number.map(Key::Number).into_iter().collect()
    }

    fn merge(&mut self, later: Self) -> Vec<&'static str> {
        differing([("name", same(&mut self.name, later.name))])
    }
}

impl Record for Product {
    fn line(&self) -> usize {
        self.line
    }

    fn keys(&self) -> Vec<Key> {
        let ids = self.sender_ids.iter().cloned().map(Key::SenderId);
        ids.chain(self.number.map(Key::Number)).collect()
    }

    fn merge(&mut self, later: Self) -> Vec<&'static str> {
        for id in later.sender_ids {
            if !self.sender_ids.contains(&id) {
                self.sender_ids.push(id);
            }
        }
        differing([
            ("number", same(&mut self.number, later.number)),
            ("name", same(&mut self.name, later.name)),
            ("active", same_sent(&mut self.active, later.active)),
        ])
    }
}

impl Record for Order {
    fn line(&self) -> usize {
        self.line
    }

    fn keys(&self) -> Vec<Key> {
        let id = self.sender_id.iter().cloned().map(Key::SenderId);
        id.chain(self.number.map(Key::Number)).collect()
    }

    fn merge(&mut self, later: Self) -> Vec<&'static str> {
        differing([
            ("sender_id", same(&mut self.sender_id, later.sender_id)),
            ("number", same(&mut self.number, later.number)),
            ("status", same(&mut self.status, later.status)),
            (
                "receiver_number",
                same_sent(&mut self.receiver_number, later.receiver_number),
            ),
            (
                "receiver_uid",
                same_sent(&mut self.receiver_uid, later.receiver_uid),
            ),
        ])
    }
}

impl Record for Client {
    fn line(&self) -> usize {
        self.line
    }

    fn keys(&self) -> Vec<Key> {
        let id = self.sender_id.iter().cloned().map(Key::SenderId);
        id.chain(self.number.map(Key::Number)).collect()
    }

    fn merge(&mut self, later: Self) -> Vec<&'static str> {
        self.addresses.extend(later.addresses);
        self.prices.extend(later.prices);
        let mut bank_account = true;
        for (first, later) in self.bank_account.iter_mut().zip(later.bank_account) {
            bank_account &= same_sent(first, later);
        }
        differing([
            ("number", same(&mut self.number, later.number)),
            ("sender_id", same(&mut self.sender_id, later.sender_id)),
            ("username", same(&mut self.username, later.username)),
            ("type", same_sent(&mut self.kind, later.kind)),
            ("phone", same_sent(&mut self.phone, later.phone)),
            ("phones", same_sent(&mut self.phones, later.phones)),
            ("email", same_sent(&mut self.email, later.email)),
            ("comment", same_sent(&mut self.comment, later.comment)),
            (
                "account_number",
                same(&mut self.account_number, later.account_number),
            ),
            ("bank_account", bank_account),
            (
                "legal_address",
                same_sent(&mut self.legal_address, later.legal_address),
            ),
            (
                "coins_amount",
                same_sent(&mut self.coins_amount, later.coins_amount),
            ),
            (
                "loyalty_system_is_active",
                same_sent(
                    &mut self.loyalty_system_is_active,
                    later.loyalty_system_is_active,
                ),
            ),
        ])
    }
}
