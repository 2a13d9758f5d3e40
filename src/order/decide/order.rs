//! An order's content: what was sent is written over what is stored, field by field (contract §5).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::address::Destination;
use crate::order::{
    content::OrderContent,
    fault::{Warning, WarningCode},
    list::List,
    model::Order,
    sent::Sent,
    wire::{Element, SentItem, SentOrder},
};

/// Takes an element's status if it goes forward, and leaves a number alone that is nobody's.
pub(super) fn change_status(
    order: &mut Arc<Order>,
    element: &Element,
    sent: &SentOrder,
    warnings: &mut Vec<Warning>,
) {
    // Another order's number is a clash and came no further (contract §4).
    if element
        .external_id
        .is_some_and(|number| number != order.number)
    {
        warnings.push(Warning::new(&"external_id", WarningCode::ExternalIdIgnored));
    }
    if order.status.may_become(sent.status) {
        put(order, &sent.status, |o| &o.status, |o| &mut o.status);
    } else {
        warnings.push(Warning::new(&"status", WarningCode::StatusNotChanged));
    }
}

/// Changes the rest of a known order, but for what [`put_content`] does.
pub(super) fn change(order: &mut Arc<Order>, sent: &SentOrder, destination: Option<Destination>) {
    if let Some(Destination { number, content }) = destination {
        put(
            order,
            &number,
            |o| &o.address_number,
            |o| &mut o.address_number,
        );
        if let Some(content) = &content {
            put(
                order,
                content,
                |o| &o.shipping_address,
                |o| &mut o.shipping_address,
            );
        }
    }
    if let Some(total) = &sent.total {
        put(order, total, |o| &o.total, |o| &mut o.total);
    }
    if let Some((from, to)) = &sent.shipping_dates {
        put(
            order,
            from,
            |o| &o.shipping_date_from,
            |o| &mut o.shipping_date_from,
        );
        put(
            order,
            to,
            |o| &o.shipping_date_to,
            |o| &mut o.shipping_date_to,
        );
    }
    if let Some(created_at) = &sent.created_at {
        put(order, created_at, |o| &o.created_at, |o| &mut o.created_at);
    }
}

/// A new order without what [`put_content`] and [`put_items`] add. `None` where something is missing that it must have.
pub(super) fn new_order(
    number: i32,
    uuid: Uuid,
    id: &str,
    sent: &SentOrder,
    client_number: i32,
    destination: Destination,
    received_at: DateTime<Utc>,
) -> Option<Order> {
    let (shipping_date_from, shipping_date_to) = sent.shipping_dates?;
    Some(Order {
        number,
        uuid,
        version: 1,
        sender_id: id.to_owned(),
        status: sent.status,
        client_number,
        shipping_address: destination.content?,
        address_number: destination.number,
        created_at: sent.created_at.unwrap_or(received_at),
        total: sent.total?,
        shipping_date_from,
        shipping_date_to,
        content: OrderContent::default(),
        items: List::default(),
    })
}

/// Writes a field where it differs. A stored record is copied when it is first written to; most come just as they are.
pub(super) fn put<T: Clone, V: Clone + PartialEq>(
    record: &mut Arc<T>,
    value: &V,
    field: fn(&T) -> &V,
    field_mut: fn(&mut T) -> &mut V,
) {
    if field(record) != value {
        field_mut(Arc::make_mut(record)).clone_from(value);
    }
}

/// The same of a field that may be absent or cleared.
pub(super) fn apply<T: Clone, V: Clone + PartialEq>(
    sent: &Sent<V>,
    record: &mut Arc<T>,
    field: fn(&T) -> &Option<V>,
    field_mut: fn(&mut T) -> &mut Option<V>,
) {
    if sent.changes(field(record).as_ref()) {
        sent.apply(field_mut(Arc::make_mut(record)));
    }
}

/// The content that may be absent or cleared. The record is copied when something of it differs.
pub(super) fn put_content(order: &mut Arc<Order>, sent: &SentOrder) {
    if sent.content.changes(&order.content) {
        sent.content.apply(&mut Arc::make_mut(order).content);
    }
}

/// The lines with their products, which replace the list.
pub(super) fn put_items(order: &mut Arc<Order>, items: &[SentItem], products: &[Option<i32>]) {
    let lines = || items.iter().zip(products);
    let are_stored = order.items.len() == items.len()
        && lines()
            .zip(&order.items)
            .all(|((item, product), stored)| item.is(*product, stored));
    if !are_stored {
        let items = lines().map(|(item, product)| item.with(*product));
        Arc::make_mut(order).items = items.collect();
    }
}
