//! What refuses an element against what is known (contract §4, §5).

use std::collections::HashSet;

use super::apply::Picture;
use crate::order::{
    fault::{Fault, FaultCode, Hint},
    identity::Found,
    model::{Client, Order, Status},
    wire::Element,
};

/// An order that the database did not take.
pub(super) fn of_database() -> Fault {
    conflict("")
}

fn conflict(field: &str) -> Fault {
    Fault {
        field: field.to_owned(),
        code: FaultCode::Conflict,
        hint: Hint::None,
    }
}

/// The faults of an element that it does not have by itself.
pub(super) fn against(picture: &Picture<'_, '_, '_>, element: &Element) -> Vec<Fault> {
    let mut faults = Vec::new();
    let known = picture.order(element);
    if known.is_none() {
        faults.extend_from_slice(&element.missing);
    }
    if let (Some(_), Some(number)) = (&element.id, element.external_id)
        && known.is_none_or(|order| order.number != number)
        && picture.is_an_orders(number)
    {
        faults.push(conflict("external_id"));
    }
    // A cancellation keeps the client that its order has.
    if picture.clients.lacks_name(element) && !(known.is_some() && element.cancels()) {
        faults.push(Fault {
            field: "client.username".to_owned(),
            code: FaultCode::Required,
            hint: Hint::None,
        });
    }
    if known.is_some_and(|order| is_finished_and_of_another(picture, order, element)) {
        faults.push(conflict("id"));
    }
    faults
}

/// A finished order is not overwritten by a stranger's: a shop that is set up anew counts from 1 again. A guest may have
/// registered since, and is known by the phone.
fn is_finished_and_of_another(
    picture: &Picture<'_, '_, '_>,
    order: &Order,
    element: &Element,
) -> bool {
    let is_finished = matches!(order.status, Status::Completed | Status::Removed);
    if !is_finished || element.order.as_ref().is_none_or(|sent| !sent.is_new()) {
        return false;
    }
    let client = |index: usize| &*picture.clients.records[index].after;
    let owner = picture.clients.by_number(order.client_number).map(client);
    let named = match picture.clients.find(&element.client).found {
        Found::There(index) => Some(client(index)),
        Found::Adopt(_) | Found::New => None,
    };
    if named.is_some_and(|named| named.number == order.client_number) {
        return false;
    }
    let owners: HashSet<&str> = owner.into_iter().flat_map(phones).collect();
    let sent = element.client.phone.as_deref().into_iter();
    let mut theirs = sent
        .chain(element.phones())
        .chain(named.into_iter().flat_map(phones));
    !theirs.any(|phone| owners.contains(phone))
}

/// All phones of a known client.
fn phones(client: &Client) -> impl Iterator<Item = &str> {
    let first = client.phone.iter().chain(&client.guest_phone);
    first.chain(&client.phones).map(String::as_str)
}
