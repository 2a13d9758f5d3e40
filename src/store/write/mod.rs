//! The writing statement of a batch: only what changed, and the journal with it.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use self::columns::{Addresses, Clients, Items, Journal, Orders, int};
pub use self::rows::{BatchRow, ChangeRow, KeptRow};
use super::{Error, Store};
use crate::{order::diff::Changes, threads::block_if_many};

mod columns;
mod rows;

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

impl Store {
    /// Writes it all or nothing; when this returns `Ok`, it is committed (but for a probe, which is taken back).
    ///
    /// # Errors
    /// Each variant of [`Error`] says what to do next. Only [`Error::Unsure`] leaves open whether it is stored.
    pub async fn write(&self, publication: &str, write: &Write<'_>) -> Result<(), Error> {
        let location = self.locate(publication).await?;
        let mut connection = location.connection().await?;
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
        if *read_in != location.history() {
            connection.done(Ok(()))?;
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
                "WITH asynchronous AS MATERIALIZED (SELECT /* hold the shard */ set_config('synchronous_commit', 'off', true))
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
            );
            let written = location.execute(&mut connection, statement, false);
            let written = self.in_time(written).await;
            return self.found(publication, connection.done(written));
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
        let written = location.execute(&mut connection, statement, *probe);
        let written = self.in_time(written).await;
        self.found(publication, connection.done(written))?;
        if !*probe {
            self.grew(location, changes.rows());
            if !changes.orders.is_empty() {
                self.tell_news(publication);
            }
        }
        Ok(())
    }
}
