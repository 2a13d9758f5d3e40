//! What refuses an element against what is known (contract §4, §5).

use super::picture::Picture;
use crate::order::{
    fault::{Fault, FaultCode, Hint, WarningCode},
    identity::share_a_phone,
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

/// The faults of an element that it does not have by itself. Where it may not clash, another order's number is left alone.
pub(super) fn against(
    picture: &Picture<'_, '_, '_>,
    element: &Element,
    may_clash: bool,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let known = picture.order(element);
    if known.is_none() {
        faults.extend_from_slice(&element.missing);
    }
    if may_clash
        && let (Some(_), Some(number)) = (&element.id, element.external_id)
        && known.is_none_or(|order| order.number != number)
        && picture.is_anothers(number, element)
    {
        faults.push(conflict("external_id"));
    }
    if keeps_client(picture, element) || is_erased(picture, element) {
        return faults;
    }
    if picture.clients.lacks_name(element) {
        faults.push(no_name(element));
    }
    // A finished order is not overwritten by a stranger's: a shop that is set up anew counts from 1 again.
    if let Some(order) = known
        && is_finished(order)
        && says_whose(element)
        && is_of_another(picture, order, element)
    {
        faults.push(conflict("id"));
    }
    faults
}

/// Whether an element says whose its order is, and does not cancel it as far as it was read.
fn says_whose(element: &Element) -> bool {
    match &element.refused {
        Some(refused) => !refused.cancels && !element.has_unreadable_client,
        None => element.order.is_some() && element.names_client(),
    }
}

/// The name of a client that is not known: it did not come, or could not be read.
pub(super) fn no_name(element: &Element) -> Fault {
    let field = "client.username";
    let mut unread = (element.warnings.iter())
        .filter(|warning| warning.field == field && warning.code == WarningCode::WrongType);
    let (code, hint) = match unread.next() {
        Some(warning) => (FaultCode::WrongType, warning.hint),
        None => (FaultCode::Required, Hint::None),
    };
    Fault {
        field: field.to_owned(),
        code,
        hint,
    }
}

pub(super) fn is_finished(order: &Order) -> bool {
    matches!(order.status, Status::Completed | Status::Removed)
}

/// Whether an element cancels a known order and does not say, or not well enough, whose it is: somebody else's cancellation under
/// a reused id may lack anything. Nothing of it is taken but the status. That may have finished the order, so sent again it is
/// taken in the same way.
pub(super) fn keeps_client(picture: &Picture<'_, '_, '_>, element: &Element) -> bool {
    // Nearly no element cancels, so its order is looked up last.
    let Some(order) = element.cancels().then(|| picture.order(element)).flatten() else {
        return false;
    };
    if element.has_unreadable_client || picture.clients.lacks_name(element) {
        return true;
    }
    let is_owners = |named: &Client| named.number == order.client_number;
    element.names_client()
        && !picture.clients.named(element).is_some_and(is_owners)
        && (!element.missing.is_empty()
            || is_finished(order) && is_of_another(picture, order, element))
}

/// Whether a finished order comes again whose client's data was erased: it stays without it. A guest's phone was erased, too, so a guest's
/// order is known by what stays of it; another order under its id is a stranger's as ever.
pub(super) fn is_erased(picture: &Picture<'_, '_, '_>, element: &Element) -> bool {
    let (Some(order), Some(sent)) = (picture.order(element), &element.order) else {
        return false;
    };
    let is_owners = |named: &Client| named.number == order.client_number;
    is_finished(order)
        && order.shipping_address.is_erased()
        && (picture.clients.named(element).is_some_and(is_owners) || sent.is_same_as(order))
}

/// Whether an element names another client than its order has, and no phone in common: a guest may have registered since.
fn is_of_another(picture: &Picture<'_, '_, '_>, order: &Order, element: &Element) -> bool {
    let named = picture.clients.named(element);
    if named.is_some_and(|named| named.number == order.client_number) {
        return false;
    }
    let owner = picture.clients.by_number(order.client_number);
    let owner = owner.map(|owner| &*picture.clients.records[owner].after);
    !owner.is_some_and(|owner| share_a_phone(owner, named, element))
}
