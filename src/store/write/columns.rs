//! The rows to write as columns, which the statements unnest.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::types::Json;
use uuid::Uuid;

use super::rows::BatchRow;
use crate::order::{content::Checkout, diff::Changes, model::AddressContent};

/// A number for PostgreSQL's `int`; what does not fit is refused by the column's own checks.
pub(super) fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Columns of the clients to write.
#[derive(Default)]
pub(super) struct Clients<'a> {
    pub(super) number: Vec<i32>,
    pub(super) version: Vec<i32>,
    pub(super) sender_id: Vec<Option<&'a str>>,
    pub(super) guest_phone: Vec<Option<&'a str>>,
    pub(super) username: Vec<&'a str>,
    pub(super) phone: Vec<Option<&'a str>>,
    pub(super) phones: Vec<String>,
    pub(super) email: Vec<Option<&'a str>>,
    pub(super) comment: Vec<Option<&'a str>>,
    pub(super) account_number: Vec<Option<i64>>,
    pub(super) kind: Vec<&'a str>,
}

impl<'a> Clients<'a> {
    pub(super) fn of(changes: &'a Changes<'_>) -> Self {
        let mut columns = Self::default();
        for (version, c) in &changes.clients {
            columns.number.push(c.number);
            columns.version.push(*version);
            columns.sender_id.push(c.sender_id.as_deref());
            columns.guest_phone.push(c.guest_phone.as_deref());
            columns.username.push(&c.username);
            columns.phone.push(c.phone.as_deref());
            columns.phones.push(c.phones.join(" "));
            columns.email.push(c.email.as_deref());
            columns.comment.push(c.comment.as_deref());
            columns.account_number.push(c.account_number);
            columns.kind.push(c.kind.as_str());
        }
        columns
    }
}

/// Columns of the addresses to write.
#[derive(Default)]
pub(super) struct Addresses<'a> {
    pub(super) number: Vec<i32>,
    pub(super) is_new: Vec<bool>,
    pub(super) client_number: Vec<i32>,
    pub(super) sender_id: Vec<Option<&'a str>>,
    pub(super) city: Vec<&'a str>,
    pub(super) street: Vec<&'a str>,
    pub(super) house: Vec<&'a str>,
    pub(super) str: Vec<&'a str>,
    pub(super) entrance: Vec<Option<&'a str>>,
    pub(super) floor: Vec<Option<&'a str>>,
    pub(super) room: Vec<Option<&'a str>>,
}

impl<'a> Addresses<'a> {
    pub(super) fn of(changes: &'a Changes<'_>) -> Self {
        let mut columns = Self::default();
        for (is_new, client, a) in &changes.addresses {
            columns.number.push(a.number);
            columns.is_new.push(*is_new);
            columns.client_number.push(*client);
            columns.sender_id.push(a.sender_id.as_deref());
            columns.city.push(&a.content.city);
            columns.street.push(&a.content.street);
            columns.house.push(&a.content.house);
            columns.str.push(&a.content.str);
            columns.entrance.push(a.content.entrance.as_deref());
            columns.floor.push(a.content.floor.as_deref());
            columns.room.push(a.content.room.as_deref());
        }
        columns
    }
}

/// Columns of the orders to write.
#[derive(Default)]
pub(super) struct Orders<'a> {
    pub(super) number: Vec<i32>,
    pub(super) version: Vec<i32>,
    pub(super) uuid: Vec<Uuid>,
    pub(super) sender_id: Vec<&'a str>,
    pub(super) status: Vec<&'a str>,
    pub(super) client_number: Vec<i32>,
    pub(super) address_number: Vec<Option<i32>>,
    pub(super) created_at: Vec<DateTime<Utc>>,
    pub(super) total: Vec<Decimal>,
    pub(super) delivery_cost: Vec<Option<Decimal>>,
    pub(super) coins: Vec<Option<Decimal>>,
    pub(super) payment_type: Vec<Option<&'a str>>,
    pub(super) payment_status: Vec<bool>,
    pub(super) shipping_date_from: Vec<DateTime<Utc>>,
    pub(super) shipping_date_to: Vec<DateTime<Utc>>,
    pub(super) comment: Vec<Option<&'a str>>,
    pub(super) count_of_returned_bottles: Vec<i32>,
    pub(super) ask_for_checkout: Vec<Option<Json<&'a Checkout>>>,
    pub(super) batch: Vec<Option<Uuid>>,
    pub(super) shipping_address: Vec<Json<&'a AddressContent>>,
}

impl<'a> Orders<'a> {
    pub(super) fn of(changes: &'a Changes<'_>, made_by: &HashMap<i32, Uuid>) -> Self {
        let mut columns = Self::default();
        for (version, o) in &changes.orders {
            columns.number.push(o.number);
            columns.version.push(*version);
            columns.uuid.push(o.uuid);
            columns.sender_id.push(&o.sender_id);
            columns.status.push(o.status.as_str());
            columns.client_number.push(o.client_number);
            columns.address_number.push(o.address_number);
            columns.shipping_address.push(Json(&o.shipping_address));
            columns.created_at.push(o.created_at);
            columns.total.push(o.total);
            columns.delivery_cost.push(o.content.delivery_cost);
            columns.coins.push(o.content.coins);
            columns.payment_type.push(o.content.payment_type.as_deref());
            columns.payment_status.push(o.content.payment_status);
            columns.shipping_date_from.push(o.shipping_date_from);
            columns.shipping_date_to.push(o.shipping_date_to);
            columns.comment.push(o.content.comment.as_deref());
            columns
                .count_of_returned_bottles
                .push(o.content.count_of_returned_bottles);
            columns
                .ask_for_checkout
                .push(o.content.ask_for_checkout.as_ref().map(Json));
            columns.batch.push(made_by.get(&o.number).copied());
        }
        columns
    }
}

/// Columns of the lines to write.
#[derive(Default)]
pub(super) struct Items<'a> {
    pub(super) order_number: Vec<i32>,
    pub(super) position: Vec<i32>,
    pub(super) is_new: Vec<bool>,
    pub(super) product_id: Vec<&'a str>,
    pub(super) sender_id: Vec<Option<&'a str>>,
    pub(super) external_id: Vec<Option<i32>>,
    pub(super) product_number: Vec<Option<i32>>,
    pub(super) name: Vec<Option<&'a str>>,
    pub(super) price: Vec<Decimal>,
    pub(super) quantity: Vec<i32>,
    pub(super) order_product_id: Vec<Option<i64>>,
}

impl<'a> Items<'a> {
    pub(super) fn of(changes: &'a Changes<'_>) -> Self {
        let mut columns = Self::default();
        for i in &changes.items {
            columns.order_number.push(i.order_number);
            columns.position.push(int(i.position));
            columns.is_new.push(i.is_new);
            columns.product_id.push(&i.item.product_id);
            columns.sender_id.push(i.item.sender_id.as_deref());
            columns.external_id.push(i.item.external_id);
            columns.product_number.push(i.item.product_number);
            columns.name.push(i.item.name.as_deref());
            columns.price.push(i.item.price);
            columns.quantity.push(i.item.quantity);
            columns.order_product_id.push(i.item.order_product_id);
        }
        columns
    }
}

/// Columns of the journal.
#[derive(Default)]
pub(super) struct Journal<'a> {
    pub(super) batch: Vec<Uuid>,
    pub(super) received_at: Vec<DateTime<Utc>>,
    pub(super) request_id: Vec<&'a str>,
    pub(super) login: Vec<Option<&'a str>>,
    pub(super) orders: Vec<i32>,
    pub(super) accepted: Vec<i32>,
    pub(super) rejected: Vec<i32>,
    pub(super) with_remarks: Vec<i32>,
    pub(super) kept_bytes: Vec<i32>,
    pub(super) dry_run: Vec<bool>,
}

impl<'a> Journal<'a> {
    pub(super) fn of(batches: &'a [BatchRow]) -> Self {
        let mut columns = Self::default();
        for b in batches {
            columns.batch.push(b.batch);
            columns.received_at.push(b.received_at);
            columns.request_id.push(&b.request_id);
            columns.login.push(b.login.as_deref());
            columns.orders.push(int(b.orders));
            columns.accepted.push(int(b.accepted));
            columns.rejected.push(int(b.rejected));
            columns.with_remarks.push(int(b.with_remarks));
            columns.kept_bytes.push(int(b.kept_bytes));
            columns.dry_run.push(b.dry_run);
        }
        columns
    }
}
