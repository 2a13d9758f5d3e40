//! Finding one of a client's many addresses.

use std::collections::{BTreeSet, HashMap};

use super::model::{Address, AddressContent};

/// What a client's addresses are found by besides their numbers (contract §4). A long list is gone through once, and not
/// again for each address that comes.
#[derive(Debug, Default)]
pub(super) struct AddressIndex {
    by_id: HashMap<String, i32>,
    /// The numbers of all that are equal.
    by_content: HashMap<AddressContent, BTreeSet<i32>>,
}

impl AddressIndex {
    /// A list with fewer addresses is looked through faster.
    pub(super) const WORTH_IT: usize = 32;

    pub(super) fn of(addresses: &[Address]) -> Self {
        let mut index = Self::default();
        for address in addresses {
            index.add(address);
        }
        index
    }

    pub(super) fn add(&mut self, address: &Address) {
        if let Some(id) = &address.sender_id {
            self.by_id.insert(id.clone(), address.number);
        }
        let equal = self.by_content.entry(address.content.clone()).or_default();
        equal.insert(address.number);
    }

    /// Takes an address out, as it was added.
    pub(super) fn remove(&mut self, address: &Address) {
        if let Some(id) = &address.sender_id {
            self.by_id.remove(id);
        }
        if let Some(equal) = self.by_content.get_mut(&address.content) {
            equal.remove(&address.number);
        }
    }

    /// The number of the address with that sender's id.
    pub(super) fn by_id(&self, id: &str) -> Option<i32> {
        self.by_id.get(id).copied()
    }

    /// The lowest number of an address with that content.
    pub(super) fn by_content(&self, content: &AddressContent) -> Option<i32> {
        self.by_content.get(content)?.first().copied()
    }
}
