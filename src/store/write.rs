//! The writing statement of a batch: only what changed, and the journal with it.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, value::RawValue};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Error, Store};
use crate::{
    order::{
        diff::Changes,
        model::{AddressContent, Checkout},
    },
    threads::block_if_many,
};

/// The journal's row of one batch.
#[derive(Debug, Clone)]
pub struct BatchRow {
    /// Its id, ours.
    pub batch: Uuid,
    /// When its body was read.
    pub received_at: DateTime<Utc>,
    pub request_id: String,
    /// Who sent it; `None` when anonymous.
    pub login: Option<String>,
    /// Entries in the answer.
    pub orders: usize,
    pub accepted: usize,
    pub rejected: usize,
    /// Accepted orders with remarks: something that came was not taken as it came.
    pub with_remarks: usize,
    /// What it takes of the day's budget for orders that are kept.
    pub kept_bytes: usize,
    /// Whether it was only tried out.
    pub dry_run: bool,
}

/// The journal's row of one order of which something was not taken: rejected, or accepted with remarks.
#[derive(Debug, Clone)]
pub struct KeptRow<'a> {
    pub batch: Uuid,
    /// The element's place in it.
    pub position: usize,
    /// The key it was answered under.
    pub key: String,
    /// As received.
    pub body: &'a str,
    /// As answered, without the messages that go with a code; an empty list of an accepted order.
    pub faults: Box<RawValue>,
    /// All warnings of an accepted order, with their messages; `None` of a rejected one.
    pub warnings: Option<Box<RawValue>>,
    /// The version of the order that the batch leaves behind, if there is such an order; 0 where a later element of the
    /// transaction names it, too.
    pub order_version: Option<i32>,
    /// The same of its client.
    pub client_version: Option<i32>,
    /// How many more elements of the batch, without an id of their own, are the same.
    pub repeated: usize,
}

/// The journal's row of one change of an order.
#[derive(Debug, Clone)]
pub struct ChangeRow<'a> {
    pub order_number: i32,
    /// The version that it leaves behind.
    pub version: i32,
    /// When the batch came in.
    pub made_at: DateTime<Utc>,
    /// The batch that changed it.
    pub batch: Uuid,
    pub request_id: &'a str,
    /// Who sent it; `None` when anonymous.
    pub login: Option<&'a str>,
    /// What changed ([`crate::order::history`]).
    pub changes: Value,
}

/// What one statement writes.
#[derive(Debug)]
pub struct Write<'a> {
    /// Rows of orders, lines, clients and addresses.
    pub changes: Changes<'a>,
    /// One for each batch that shares the transaction, at least one.
    pub batches: Vec<BatchRow>,
    /// Orders of those batches that are kept as they came.
    pub kept: Vec<KeptRow<'a>>,
    /// By number: the batch that makes a new order.
    pub made_by: HashMap<i32, Uuid>,
    /// Changes of the others.
    pub history: Vec<ChangeRow<'a>>,
    /// By the database's clock: past it nothing is stored, for the caller was given up on.
    pub deadline: DateTime<Utc>,
    /// Only try whether the database takes it, and roll back.
    pub probe: bool,
    /// How long to wait for somebody's lock; `None`: as long as `lock_timeout` says.
    pub lock_patience: Option<Duration>,
    /// What [`Store::history`] said before the reading.
    pub read_in: u64,
}

impl Write<'_> {
    /// Nothing but lines of the journal.
    #[must_use]
    pub fn journal(batches: Vec<BatchRow>, deadline: DateTime<Utc>, read_in: u64) -> Self {
        Self {
            changes: Changes::default(),
            batches,
            kept: Vec::new(),
            made_by: HashMap::new(),
            history: Vec::new(),
            deadline,
            probe: false,
            lock_patience: None,
            read_in,
        }
    }
}

/// A number for PostgreSQL's `int`; what does not fit is refused by the column's own checks.
fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Columns of the clients to write.
#[derive(Default)]
struct Clients<'a> {
    number: Vec<i32>,
    version: Vec<i32>,
    sender_id: Vec<Option<&'a str>>,
    guest_phone: Vec<Option<&'a str>>,
    username: Vec<&'a str>,
    phone: Vec<Option<&'a str>>,
    phones: Vec<String>,
    email: Vec<Option<&'a str>>,
    comment: Vec<Option<&'a str>>,
    account_number: Vec<Option<i64>>,
    kind: Vec<&'a str>,
}

impl<'a> Clients<'a> {
    fn of(changes: &'a Changes<'_>) -> Self {
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
struct Addresses<'a> {
    number: Vec<i32>,
    is_new: Vec<bool>,
    client_number: Vec<i32>,
    sender_id: Vec<Option<&'a str>>,
    city: Vec<&'a str>,
    street: Vec<&'a str>,
    house: Vec<&'a str>,
    str: Vec<&'a str>,
    entrance: Vec<Option<&'a str>>,
    floor: Vec<Option<&'a str>>,
    room: Vec<Option<&'a str>>,
}

impl<'a> Addresses<'a> {
    fn of(changes: &'a Changes<'_>) -> Self {
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
struct Orders<'a> {
    number: Vec<i32>,
    version: Vec<i32>,
    uuid: Vec<Uuid>,
    sender_id: Vec<&'a str>,
    status: Vec<&'a str>,
    client_number: Vec<i32>,
    address_number: Vec<Option<i32>>,
    created_at: Vec<DateTime<Utc>>,
    total: Vec<Decimal>,
    delivery_cost: Vec<Option<Decimal>>,
    coins: Vec<Option<Decimal>>,
    payment_type: Vec<Option<&'a str>>,
    payment_status: Vec<bool>,
    shipping_date_from: Vec<DateTime<Utc>>,
    shipping_date_to: Vec<DateTime<Utc>>,
    comment: Vec<Option<&'a str>>,
    count_of_returned_bottles: Vec<i32>,
    ask_for_checkout: Vec<Option<Json<&'a Checkout>>>,
    batch: Vec<Option<Uuid>>,
    shipping_address: Vec<Json<&'a AddressContent>>,
}

impl<'a> Orders<'a> {
    fn of(changes: &'a Changes<'_>, made_by: &HashMap<i32, Uuid>) -> Self {
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
struct Items<'a> {
    order_number: Vec<i32>,
    position: Vec<i32>,
    is_new: Vec<bool>,
    product_id: Vec<&'a str>,
    sender_id: Vec<Option<&'a str>>,
    external_id: Vec<Option<i32>>,
    product_number: Vec<Option<i32>>,
    name: Vec<Option<&'a str>>,
    price: Vec<Decimal>,
    quantity: Vec<i32>,
    order_product_id: Vec<Option<i64>>,
}

impl<'a> Items<'a> {
    fn of(changes: &'a Changes<'_>) -> Self {
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
struct Journal<'a> {
    batch: Vec<Uuid>,
    received_at: Vec<DateTime<Utc>>,
    request_id: Vec<&'a str>,
    login: Vec<Option<&'a str>>,
    orders: Vec<i32>,
    accepted: Vec<i32>,
    rejected: Vec<i32>,
    with_remarks: Vec<i32>,
    kept_bytes: Vec<i32>,
    dry_run: Vec<bool>,
}

impl<'a> Journal<'a> {
    fn of(batches: &'a [BatchRow]) -> Self {
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

impl Store {
    /// Writes it all or nothing; when this returns `Ok`, it is committed (but for a probe, which is taken back).
    ///
    /// # Errors
    /// Each variant of [`Error`] says what to do next. Only [`Error::Unsure`] leaves open whether it is stored.
    pub async fn write(&self, publication: &str, write: &Write<'_>) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let Write {
            changes,
            batches,
            kept,
            made_by,
            history,
            deadline,
            probe,
            lock_patience,
            read_in,
        } = write;
        // Only now: the connection may be a new one, and lead elsewhere.
        if *read_in != self.history() {
            self.connections.give_back(connection);
            return Err(Error::HistoryChanged);
        }
        let is_less =
            |patience: &Duration| self.lock_timeout.is_zero() || *patience < self.lock_timeout;
        let hurry = lock_patience.filter(is_less);
        let hurry = hurry.map(|patience| patience.as_millis().to_string());

        let journal = Journal::of(batches);
        if changes.is_empty() && kept.is_empty() && !probe {
            // Nothing to lose but a line of the journal: no need to wait for the disk.
            let statement = sqlx::query!(
                "WITH asynchronous AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
                 INSERT INTO journal_batch (publication, batch, received_at, stored_at, deadline, request_id, login,
                                            orders, accepted, rejected, updated_rows, changed_rows, kept_bytes,
                                            dry_run, with_remarks)
                 SELECT $1, t.batch, t.received_at, clock_timestamp(), $9, t.request_id, t.login, t.orders,
                        t.accepted, t.rejected, 0, 0, t.kept_bytes, t.dry_run, t.with_remarks
                 FROM asynchronous,
                      unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[],
                             $10::int[], $11::boolean[], $12::int[])
                     AS t (batch, received_at, request_id, login, orders, accepted, rejected, kept_bytes, dry_run,
                           with_remarks)",
                publication,
                &journal.batch,
                &journal.received_at,
                &journal.request_id as _,
                &journal.login as _,
                &journal.orders,
                &journal.accepted,
                &journal.rejected,
                deadline,
                &journal.kept_bytes,
                &journal.dry_run,
                &journal.with_remarks,
            )
            .execute(&mut *connection);
            let written = self.in_time(statement).await;
            return self.done(connection, written).map(drop);
        }

        // write_new.sql writes neither column.
        let needs_more = |batch: &BatchRow| batch.with_remarks > 0 || batch.kept_bytes > 0;
        let only_new = changes.is_only_new() && kept.is_empty() && !batches.iter().any(needs_more);
        let statement = block_if_many(changes.rows(), || {
            let clients = Clients::of(changes);
            let addresses = Addresses::of(changes);
            let orders = Orders::of(changes, made_by);
            let items = Items::of(changes);
            if only_new {
                sqlx::query_file!(
                    "src/store/write_new.sql",
                    publication,
                    &clients.number,
                    &clients.sender_id as _,
                    &clients.guest_phone as _,
                    &clients.username as _,
                    &clients.phone as _,
                    &clients.phones,
                    &clients.email as _,
                    &clients.comment as _,
                    &clients.account_number as _,
                    &clients.kind as _,
                    &addresses.number,
                    &addresses.client_number,
                    &addresses.sender_id as _,
                    &addresses.city as _,
                    &addresses.street as _,
                    &addresses.house as _,
                    &addresses.str as _,
                    &addresses.entrance as _,
                    &addresses.floor as _,
                    &addresses.room as _,
                    &orders.number,
                    &orders.uuid,
                    &orders.sender_id as _,
                    &orders.status as _,
                    &orders.client_number,
                    &orders.address_number as _,
                    &orders.created_at,
                    &orders.total,
                    &orders.delivery_cost as _,
                    &orders.coins as _,
                    &orders.payment_type as _,
                    &orders.payment_status,
                    &orders.shipping_date_from,
                    &orders.shipping_date_to,
                    &orders.comment as _,
                    &orders.count_of_returned_bottles,
                    &orders.ask_for_checkout as _,
                    &items.order_number,
                    &items.position,
                    &items.product_id as _,
                    &items.sender_id as _,
                    &items.external_id as _,
                    &items.product_number as _,
                    &items.name as _,
                    &items.price,
                    &items.quantity,
                    &items.order_product_id as _,
                    deadline,
                    &journal.batch,
                    &journal.received_at,
                    &journal.request_id as _,
                    &journal.login as _,
                    &journal.orders,
                    &journal.accepted,
                    &journal.rejected,
                    &orders.batch as _,
                    &orders.shipping_address as _,
                    hurry.as_deref(),
                )
            } else {
                sqlx::query_file!(
                    "src/store/write.sql",
                    publication,
                    &clients.number,
                    &clients.version,
                    &clients.sender_id as _,
                    &clients.guest_phone as _,
                    &clients.username as _,
                    &clients.phone as _,
                    &clients.phones,
                    &clients.email as _,
                    &clients.comment as _,
                    &clients.account_number as _,
                    &clients.kind as _,
                    &addresses.number,
                    &addresses.is_new,
                    &addresses.client_number,
                    &addresses.sender_id as _,
                    &addresses.city as _,
                    &addresses.street as _,
                    &addresses.house as _,
                    &addresses.str as _,
                    &addresses.entrance as _,
                    &addresses.floor as _,
                    &addresses.room as _,
                    &orders.number,
                    &orders.version,
                    &orders.uuid,
                    &orders.sender_id as _,
                    &orders.status as _,
                    &orders.client_number,
                    &orders.address_number as _,
                    &orders.created_at,
                    &orders.total,
                    &orders.delivery_cost as _,
                    &orders.coins as _,
                    &orders.payment_type as _,
                    &orders.payment_status,
                    &orders.shipping_date_from,
                    &orders.shipping_date_to,
                    &orders.comment as _,
                    &orders.count_of_returned_bottles,
                    &orders.ask_for_checkout as _,
                    &items.order_number,
                    &items.position,
                    &items.is_new,
                    &items.product_id as _,
                    &items.sender_id as _,
                    &items.external_id as _,
                    &items.product_number as _,
                    &items.name as _,
                    &items.price,
                    &items.quantity,
                    &items.order_product_id as _,
                    &kept.iter().map(|k| k.batch).collect::<Vec<_>>(),
                    &kept.iter().map(|k| int(k.position)).collect::<Vec<_>>(),
                    &kept.iter().map(|k| k.key.as_str()).collect::<Vec<_>>() as _,
                    &kept.iter().map(|k| k.body).collect::<Vec<_>>() as _,
                    &kept.iter().map(|k| Json(&k.faults)).collect::<Vec<_>>() as _,
                    deadline,
                    int(changes.updates()),
                    &journal.batch,
                    &journal.received_at,
                    &journal.request_id as _,
                    &journal.login as _,
                    &journal.orders,
                    &journal.accepted,
                    &journal.rejected,
                    &changes
                        .shortened
                        .iter()
                        .map(|(order, _)| *order)
                        .collect::<Vec<_>>(),
                    &changes
                        .shortened
                        .iter()
                        .map(|(_, lines)| int(*lines))
                        .collect::<Vec<_>>(),
                    &orders.batch as _,
                    &history.iter().map(|c| c.order_number).collect::<Vec<_>>(),
                    &history.iter().map(|c| c.version).collect::<Vec<_>>(),
                    &history.iter().map(|c| c.made_at).collect::<Vec<_>>(),
                    &history.iter().map(|c| c.batch).collect::<Vec<_>>(),
                    &history.iter().map(|c| c.request_id).collect::<Vec<_>>() as _,
                    &history.iter().map(|c| c.login).collect::<Vec<_>>() as _,
                    &history.iter().map(|c| Json(&c.changes)).collect::<Vec<_>>() as _,
                    &orders.shipping_address as _,
                    &kept.iter().map(|k| int(k.repeated)).collect::<Vec<_>>(),
                    &journal.kept_bytes,
                    hurry.as_deref(),
                    &kept
                        .iter()
                        .map(|k| k.warnings.as_ref().map(Json))
                        .collect::<Vec<_>>() as _,
                    &kept.iter().map(|k| k.order_version).collect::<Vec<_>>() as _,
                    &kept.iter().map(|k| k.client_version).collect::<Vec<_>>() as _,
                    &journal.with_remarks,
                )
            }
        });
        let written = if *probe {
            // The one place with a transaction by hand. It runs in the intake's own task, which nobody drops half-way;
            // where the server falls silent in it, the connection is closed.
            let taken_back = async {
                let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
                let taken = statement.execute(&mut *transaction).await;
                transaction.rollback().await?;
                taken
            };
            self.in_time(taken_back).await
        } else {
            self.in_time(statement.execute(&mut *connection)).await
        };
        self.done(connection, written)?;
        if !*probe {
            self.grew(changes.rows());
        }
        Ok(())
    }
}
