//! The stored records as they become, element by element.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::Arc,
};

use uuid::Uuid;

use super::numbers::{AllNumbers, FreeNumbers, Shortage};
use crate::order::{
    address_index::AddressIndex,
    identity::Clients,
    known::Known,
    model::{Client, Order, Status},
    record::Record,
    wire::Element,
};

/// The stored records as they become.
pub(super) struct Picture<'a, 'e, 'n> {
    pub(super) known: &'a Known,
    pub(super) numbers: AllNumbers<'n>,
    pub(super) new_uuid: fn() -> Uuid,
    pub(super) orders: Vec<Record<'a, Order>>,
    pub(super) order_by_id: HashMap<&'e str, usize>,
    pub(super) order_numbers: BTreeSet<i32>,
    /// For which sender's id a number was imported.
    imported_numbers: HashMap<i32, &'a str>,
    pub(super) clients: Clients<'a, 'e>,
    pub(super) address_numbers: BTreeSet<i32>,
    /// A client is given no more addresses.
    pub(super) most_addresses: usize,
    /// Of clients with long lists, by their index.
    pub(super) address_indexes: HashMap<usize, AddressIndex>,
    pub(super) round: Round,
}

/// What happened while a batch was applied once.
#[derive(Default)]
pub(super) struct Round {
    /// An address was looked for by its content, or one became an order's by its number.
    pub looked_at_addresses: bool,
    /// An order stayed where it goes, whatever has become of that address of the client's.
    pub kept_an_address: bool,
    /// A client's phones were held against those that came with its number.
    pub went_by_phones: bool,
    /// Applied again the batch may do something else: something was changed after it was looked at, or refused for
    /// something that a later element may bring.
    pub may_differ: bool,
}

impl<'a: 'e, 'e, 'n> Picture<'a, 'e, 'n> {
    pub(super) fn new(
        known: &'a Known,
        free: &'n mut FreeNumbers,
        elements: impl Iterator<Item = &'e Element>,
        most_addresses: usize,
        new_uuid: fn() -> Uuid,
    ) -> Self {
        let mut picture = Self {
            known,
            numbers: AllNumbers::new(free, elements),
            new_uuid,
            orders: Vec::with_capacity(known.orders.len()),
            order_by_id: HashMap::new(),
            order_numbers: known.order_numbers.clone(),
            imported_numbers: (known.imported.iter())
                .map(|(id, (number, _))| (*number, id.as_str()))
                .collect(),
            clients: Clients::of(&known.clients),
            address_numbers: known.address_numbers.clone(),
            most_addresses,
            address_indexes: HashMap::new(),
            round: Round::default(),
        };
        for order in &known.orders {
            let index = picture.orders.len();
            picture.order_by_id.insert(&order.sender_id, index);
            picture.order_numbers.insert(order.number);
            picture.orders.push(Record::stored(order));
        }
        picture
    }

    /// The records as they are to be, unless numbers were missing. Numbers that nobody got are given back.
    #[expect(clippy::type_complexity, reason = "orders and clients")]
    pub(super) fn finish(
        self,
    ) -> Result<(Vec<Record<'a, Order>>, Vec<Record<'a, Client>>), Shortage> {
        let shortage = self.numbers.shortage();
        if shortage != Shortage::default() {
            return Err(shortage);
        }
        let AllNumbers {
            orders,
            clients,
            addresses,
        } = self.numbers;
        orders.give_back(|number| self.order_numbers.contains(&number));
        clients.give_back(|number| self.clients.has_number(number));
        addresses.give_back(|number| self.address_numbers.contains(&number));
        Ok((self.orders, self.clients.records))
    }

    /// The order that an element names, as it is.
    pub(super) fn order(&self, element: &Element) -> Option<&Order> {
        let index = self.order_by_id.get(element.id.as_deref()?)?;
        Some(&self.orders[*index].after)
    }

    /// The number that an element brings for an order that has another one.
    pub(super) fn number_in_vain(&self, element: &Element) -> Option<i32> {
        let number = element.external_id?;
        (self.order(element)?.number != number).then_some(number)
    }

    /// Whether that number is another order's than the element's: of one that is stored, or was imported.
    pub(super) fn is_anothers(&self, number: i32, element: &Element) -> bool {
        let imported_for = self.imported_numbers.get(&number);
        self.order_numbers.contains(&number)
            || imported_for.is_some_and(|id| element.id.as_deref() != Some(id))
    }

    /// The number and the status that a new order of that id has from an import. Where another order bears the number by now,
    /// it has none.
    pub(super) fn imported(&self, id: &str) -> Option<(i32, Status)> {
        let imported = self.known.imported.get(id).copied();
        imported.filter(|(number, _)| !self.order_numbers.contains(number))
    }

    /// Ends a round of applying a batch. Says whether another one may do something else.
    pub(super) fn end_round(&mut self) -> bool {
        mem::take(&mut self.round).may_differ
    }

    /// All records as they are.
    pub(super) fn state(&self) -> (Vec<Arc<Order>>, Vec<Arc<Client>>) {
        let orders = self.orders.iter();
        let clients = self.clients.records.iter();
        (
            orders.map(|record| Arc::clone(&record.after)).collect(),
            clients.map(|record| Arc::clone(&record.after)).collect(),
        )
    }
}
