//! Addresses: a client's list, and where an order goes (contract §4, §5).

use std::sync::Arc;

use super::picture::Picture;
use crate::order::{
    address_index::AddressIndex,
    fault::{Path, Warning, WarningCode},
    identity::{Found, Identity, Number},
    model::{Address, AddressContent, Order},
    wire::SentAddress,
};

/// Where an order goes.
pub(super) struct Destination {
    /// Which address of its client's.
    pub number: Option<i32>,
    /// The order's own copy; `None`: as it is.
    pub content: Option<AddressContent>,
}

impl Picture<'_, '_, '_> {
    /// Finds or makes an address of the client's list; where that has no room for one more, it is left out.
    pub(super) fn address(
        &mut self,
        client: usize,
        sent: &SentAddress,
        path: Path<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Option<i32> {
        let by_id = sent.id.as_ref().and_then(|id| self.by_id(client, id));
        let number = sent.number.map_or(Number::None, |number| {
            match self.by_number(client, number) {
                Some(index) => {
                    let has = &self.clients.records[client].after.addresses[index].sender_id;
                    Number::of(index, has.as_deref(), sent.id.as_deref())
                }
                None if self.address_numbers.contains(&number) => Number::Taken,
                None => Number::Free(number),
            }
        });
        let Identity {
            found,
            ignores_number,
        } = Identity::of(by_id, number);
        if ignores_number {
            warnings.push(Warning::new(
                &path.field("external_id"),
                WarningCode::ExternalIdIgnored,
            ));
        }
        // Neither an id nor a number that tells anything: the content does.
        let found = match found {
            Found::New if sent.id.is_none() => {
                self.round.looked_at_addresses = true;
                self.by_content(client, sent)
                    .map_or(Found::New, Found::There)
            }
            found => found,
        };
        let number = self.put_address(client, &found, sent);
        if number.is_none() {
            warnings.push(Warning::new(&path, WarningCode::TooMany));
        }
        number
    }

    /// Where an order goes: finds or makes an address of its client's (contract §4: never another client's).
    pub(super) fn shipping_address(
        &mut self,
        order: Option<usize>,
        client: usize,
        sent: &SentAddress,
        warnings: &mut Vec<Warning>,
    ) -> Destination {
        // An order that was another client's is sent anew.
        let number = self.clients.records[client].after.number;
        let order = order.map(|order| Arc::clone(&self.orders[order].after));
        let order = order.filter(|order| order.client_number == number);
        let by_number = (sent.number).and_then(|number| self.by_number(client, number));
        if let Some(at) = by_number {
            return self.numbered_address(order.as_deref(), client, at, sent);
        }
        if sent.number.is_some() || sent.impossible_number {
            let field = "shipping_address.user_address_id";
            warnings.push(Warning::new(&field, WarningCode::AddressNotFound));
            self.round.looked_at_addresses |= sent.number.is_some();
        }
        if let Some(order) = &order
            && !sent.changes(&order.shipping_address)
        {
            // It goes where it went, whatever has become of that address of the client's.
            self.round.kept_an_address = true;
            return Destination {
                number: order.address_number,
                content: None,
            };
        }
        self.round.looked_at_addresses = true;
        let found = self.by_content(client, sent);
        let number = self.put_address(client, &found.map_or(Found::New, Found::There), sent);
        // At the same door what did not come stays: only its spelling changed, or a part of it.
        let at_same_door = order.filter(|order| sent.is_at(&order.shipping_address));
        let content = at_same_door.map(|order| sent.applied_to(&order.shipping_address));
        Destination {
            number,
            content: Some(content.unwrap_or_else(|| sent.content())),
        }
    }

    /// Where an order goes whose number of an address is one of its client's: the number says which address, the rest what that
    /// is now.
    fn numbered_address(
        &mut self,
        order: Option<&Order>,
        client: usize,
        at: usize,
        sent: &SentAddress,
    ) -> Destination {
        let was = &self.clients.records[client].after.addresses[at];
        let is_same_door = sent.is_at(&was.content);
        self.put_address(client, &Found::There(at), sent);
        self.round.looked_at_addresses = true;
        let content = match order.filter(|order| order.address_number == sent.number) {
            // It goes there already: its own copy is changed, for the client's address may say something else by now.
            Some(order) => {
                let own = &order.shipping_address;
                sent.changes(own).then(|| sent.applied_to(own))
            }
            None if is_same_door => {
                let address = &self.clients.records[client].after.addresses[at];
                Some(address.content.clone())
            }
            // The flat of one house is not that of another.
            None => Some(sent.content()),
        };
        Destination {
            number: sent.number,
            content,
        }
    }

    /// The index of a client's addresses, where the list is long.
    fn address_index(&mut self, client: usize) -> Option<&AddressIndex> {
        let addresses = &self.clients.records[client].after.addresses;
        if addresses.len() < AddressIndex::WORTH_IT {
            return None;
        }
        let index = self.address_indexes.entry(client);
        Some(index.or_insert_with(|| AddressIndex::of(addresses)))
    }

    /// Where in its client's list the address of that number stands.
    fn by_number(&self, client: usize, number: i32) -> Option<usize> {
        let addresses = &self.clients.records[client].after.addresses;
        let found = addresses.binary_search_by_key(&number, |address| address.number);
        found.ok()
    }

    fn by_id(&mut self, client: usize, id: &str) -> Option<usize> {
        if let Some(index) = self.address_index(client) {
            let number = index.by_id(id)?;
            return self.by_number(client, number);
        }
        let is_it = |address: &Address| address.sender_id.as_deref() == Some(id);
        let addresses = &self.clients.records[client].after.addresses;
        addresses.iter().position(is_it)
    }

    fn by_content(&mut self, client: usize, sent: &SentAddress) -> Option<usize> {
        if let Some(index) = self.address_index(client) {
            let number = index.by_content(&sent.content())?;
            return self.by_number(client, number);
        }
        let is_it = |address: &Address| sent.is(&address.content);
        let addresses = &self.clients.records[client].after.addresses;
        addresses.iter().position(is_it)
    }

    /// Writes an address where it was found, or makes it; says its number. `None` where the client has no room for it.
    fn put_address(&mut self, client: usize, found: &Found, sent: &SentAddress) -> Option<i32> {
        let index = self.address_indexes.get_mut(&client);
        let client = &mut self.clients.records[client].after;
        if let Found::There(at) = *found {
            let stored = &client.addresses[at];
            let takes_id = stored.sender_id.is_none() && sent.id.is_some();
            if takes_id || sent.changes(&stored.content) {
                self.round.may_differ |= self.round.looked_at_addresses;
                let address = &mut Arc::make_mut(client).addresses[at];
                let before = index.is_some().then(|| address.clone());
                if takes_id {
                    address.sender_id.clone_from(&sent.id);
                }
                sent.apply(&mut address.content);
                if let (Some(index), Some(before)) = (index, &before) {
                    index.remove(before);
                    index.add(address);
                }
            }
            return Some(client.addresses[at].number);
        }
        if client.addresses.len() >= self.most_addresses {
            // Its id may become another one's further on.
            self.round.may_differ = true;
            return None;
        }
        let number = match *found {
            Found::Adopt(number) => {
                // Of several equal ones the lowest number counts.
                self.round.may_differ |= self.round.looked_at_addresses;
                number
            }
            Found::There(_) | Found::New => {
                let numbers = &mut self.numbers.addresses;
                numbers.next(|number| self.address_numbers.contains(&number))
            }
        };
        self.address_numbers.insert(number);
        let address = Address {
            number,
            sender_id: sent.id.clone(),
            content: sent.content(),
            district_number: None,
            district_name: None,
        };
        if let Some(index) = index {
            index.add(&address);
        }
        // By number, as they will be read: an answer must not change when the same is sent again.
        let addresses = &mut Arc::make_mut(client).addresses;
        let place = addresses.partition_point(|other| other.number < number);
        // Of equal ones the lowest number counts, and that may be this one now.
        self.round.may_differ |= self.round.looked_at_addresses && place < addresses.len();
        addresses.insert(place, address);
        Some(number)
    }
}
