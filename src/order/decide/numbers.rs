//! Free numbers, and who gets them (contract §4.3).

use std::collections::{HashSet, VecDeque};

use crate::order::wire::Element;

/// Free numbers at hand, in the order in which they are given (contract §4.3).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FreeNumbers {
    /// For orders.
    pub order: VecDeque<i32>,
    /// For clients.
    pub client: VecDeque<i32>,
    /// For addresses.
    pub address: VecDeque<i32>,
}

/// How many numbers were missing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Of orders.
    pub order: usize,
    /// Of clients.
    pub client: usize,
    /// Of addresses.
    pub address: usize,
}

/// The numbers of one kind while batches are decided on.
pub(super) struct Numbers<'n> {
    free: &'n mut VecDeque<i32>,
    /// These come along in a batch. They are not given to others on the way: whoever brings a free one has it.
    sent: HashSet<i32>,
    /// Free numbers that are not given in this batch, for somebody brings them along.
    passed_over: VecDeque<i32>,
    pub missing: usize,
}

impl Numbers<'_> {
    /// The next free number that nobody brings along and that is not `taken`.
    pub(super) fn next(&mut self, taken: impl Fn(i32) -> bool) -> i32 {
        while let Some(number) = self.free.pop_front() {
            if !self.sent.contains(&number) && !taken(number) {
                return number;
            }
            self.passed_over.push_back(number);
        }
        self.missing += 1;
        // Stands in until the decision is made again with enough numbers; below zero it can clash with nothing.
        -i32::try_from(self.missing).unwrap_or(i32::MAX)
    }

    /// Puts back what was passed over, but for those that records brought along and have now.
    pub(super) fn give_back(self, taken: impl Fn(i32) -> bool) {
        let mut passed_over = self.passed_over;
        self.free.append(&mut passed_over);
        self.free.retain(|number| !taken(*number));
    }
}

/// The numbers of all three kinds.
pub(super) struct AllNumbers<'n> {
    pub orders: Numbers<'n>,
    pub clients: Numbers<'n>,
    pub addresses: Numbers<'n>,
}

impl<'n> AllNumbers<'n> {
    /// Gives from `free`, but for what `elements` bring along.
    pub(super) fn new<'e>(
        free: &'n mut FreeNumbers,
        elements: impl Iterator<Item = &'e Element>,
    ) -> Self {
        let of = |free| Numbers {
            free,
            sent: HashSet::new(),
            passed_over: VecDeque::new(),
            missing: 0,
        };
        let mut numbers = Self {
            orders: of(&mut free.order),
            clients: of(&mut free.client),
            addresses: of(&mut free.address),
        };
        for element in elements {
            if let Some(order) = &element.order {
                numbers.orders.sent.extend(element.external_id);
                numbers.clients.sent.extend(element.client.external_id);
                numbers.addresses.sent.extend(order.address_numbers());
            }
        }
        numbers
    }

    pub(super) fn shortage(&self) -> Shortage {
        Shortage {
            order: self.orders.missing,
            client: self.clients.missing,
            address: self.addresses.missing,
        }
    }
}
