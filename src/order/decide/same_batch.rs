//! What elements of one batch mean for each other.

use std::collections::HashMap;

use super::faults::no_name;
use crate::order::{fault::Fault, model::Status, wire::Element};

/// The elements of a batch, as far as they depend on each other.
pub(super) struct SameBatch<'e> {
    elements: &'e [Element],
    /// The orders of a batch in which one comes more than once, by their entry.
    orders: HashMap<usize, Repeated>,
    /// Where a number of an order comes last, and where in another order before that. Made when it is first asked for.
    numbers: Option<HashMap<i32, (usize, Option<usize>)>>,
}

/// Which of an order's elements, by their places among them.
#[derive(Default)]
struct Repeated {
    /// The first that is taken whatever is stored.
    certain: Option<usize>,
    /// The last that is whole and does not cancel.
    last_alive: Option<usize>,
}

/// Whether an element says all that an order needs.
fn is_whole(element: &Element) -> bool {
    element.order.is_some() && element.missing.is_empty()
}

/// Whether it is an order without its client's being known.
fn is_whole_and_named(element: &Element) -> bool {
    is_whole(element) && (element.has_username || !element.client.is_registered())
}

fn is_alive(element: &Element) -> bool {
    let order = element.order.as_ref();
    order.is_some_and(|order| order.status != Status::Removed)
}

impl<'e> SameBatch<'e> {
    pub(super) fn new(elements: &'e [Element]) -> Self {
        let mut orders: HashMap<usize, Repeated> = HashMap::new();
        if elements.iter().any(|element| element.nth > 0) {
            for element in elements.iter().filter(|element| is_whole(element)) {
                let order = orders.entry(element.entry).or_default();
                if is_whole_and_named(element) && element.external_id.is_none() {
                    order.certain.get_or_insert(element.nth);
                }
                if is_alive(element) {
                    order.last_alive = Some(element.nth);
                }
            }
        }
        Self {
            elements,
            orders,
            numbers: None,
        }
    }

    /// Whether a cancellation comes before its order, which a later element makes. It is left out. As long as the
    /// order is not known it is refused for what it lacks; when the batch is sent again it must not cancel what the batch has made.
    pub(super) fn is_before_its_order(&self, element: &Element) -> bool {
        element.cancels()
            && !is_whole_and_named(element)
            && self.orders.get(&element.entry).is_some_and(|order| {
                order.last_alive > Some(element.nth)
                    && order.certain.is_none_or(|nth| nth > element.nth)
            })
    }

    /// Whether another order brings that number further on than the element at this position.
    pub(super) fn is_brought_later(&mut self, number: i32, at: usize) -> bool {
        let elements = self.elements;
        let numbers = self.numbers.get_or_insert_with(|| last_of_each(elements));
        let Some((last, other)) = numbers.get(&number) else {
            return false;
        };
        let is_others = |at_last: usize| elements[at_last].entry != elements[at].entry;
        *last > at && is_others(*last) || other.is_some_and(|other| other > at && is_others(other))
    }
}

fn last_of_each(elements: &[Element]) -> HashMap<i32, (usize, Option<usize>)> {
    let mut numbers: HashMap<i32, (usize, Option<usize>)> = HashMap::new();
    for (at, element) in elements.iter().enumerate() {
        let Some(number) = element.external_id else {
            continue;
        };
        let (last, other) = numbers.entry(number).or_insert((at, None));
        if elements[*last].entry != element.entry {
            *other = Some(*last);
        }
        *last = at;
    }
    numbers
}

/// What a cancellation lacks that comes before its order.
pub(super) fn lacks(element: &Element) -> Vec<Fault> {
    let mut faults = element.missing.clone();
    if faults.is_empty() {
        faults.push(no_name(element));
    }
    faults
}
