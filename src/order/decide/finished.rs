//! A finished order is not overwritten by a stranger's (contract §4): a shop that is set up anew counts from 1 again.

use std::collections::HashSet;

use super::{ASK_EVERY, Found, Picture, Undecided};
use crate::order::{
    model::{Client, Order, Status},
    wire::Element,
};

/// Entries with an order that is finished here, comes as new, and names only people whom it was not for.
pub(super) fn of_others(
    picture: &Picture<'_, '_, '_>,
    elements: &[Element],
    index: &[usize],
    go_on: &dyn Fn() -> bool,
) -> Result<HashSet<usize>, Undecided> {
    let suspects: Vec<(usize, &Element, &Order)> = elements
        .iter()
        .zip(index)
        .filter_map(|(element, entry)| {
            let order = finished_order(picture, element)?;
            let is_suspect = !names(picture, element, order.client_number);
            is_suspect.then_some((*entry, element, order))
        })
        .collect();
    if suspects.is_empty() {
        return Ok(HashSet::new());
    }
    // An entry that also names the order's client is of somebody who knows it.
    let known: HashSet<usize> = elements
        .iter()
        .zip(index)
        .filter_map(|(element, entry)| {
            let stored = picture.order_by_id.get(element.id.as_deref()?)?;
            let client_number = picture.orders[*stored].after.client_number;
            names(picture, element, client_number).then_some(*entry)
        })
        .collect();
    let mut others = HashSet::new();
    for (at, (entry, element, order)) in suspects.into_iter().enumerate() {
        if at % ASK_EVERY == 0 && !go_on() {
            return Err(Undecided::Stopped);
        }
        if known.contains(&entry) || others.contains(&entry) {
            continue;
        }
        let owner = picture.client_by_number.get(&order.client_number);
        let owner = owner.map(|index| &picture.clients[*index].after);
        let theirs: HashSet<&str> = owner.into_iter().flat_map(|c| phones(c)).collect();
        let named = match picture.find_client(&element.client).0 {
            Found::There(index) => Some(&picture.clients[index].after),
            Found::Adopt(_) | Found::New => None,
        };
        let sent = element.client.phone.as_deref();
        let mut all = named.into_iter().flat_map(|c| phones(c));
        let mut all = sent.into_iter().chain(element.phones()).chain(&mut all);
        if !all.any(|phone| theirs.contains(phone)) {
            others.insert(entry);
        }
    }
    Ok(others)
}

/// The stored order that an element would begin anew.
fn finished_order<'p>(picture: &'p Picture<'_, '_, '_>, element: &Element) -> Option<&'p Order> {
    let is_new = element.order.as_ref()?.is_new();
    let index = picture.order_by_id.get(element.id.as_deref()?)?;
    let order = &*picture.orders[*index].after;
    (is_new && matches!(order.status, Status::Completed | Status::Removed)).then_some(order)
}

/// Whether an element names that client.
fn names(picture: &Picture<'_, '_, '_>, element: &Element, client_number: i32) -> bool {
    match picture.find_client(&element.client).0 {
        Found::There(index) => picture.clients[index].after.number == client_number,
        Found::Adopt(_) | Found::New => false,
    }
}

/// All phones of a stored client.
fn phones(client: &Client) -> impl Iterator<Item = &str> {
    let first = client.phone.iter().chain(&client.guest_phone);
    first.chain(&client.phones).map(String::as_str)
}
