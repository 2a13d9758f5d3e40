//! The writing statement of a batch: only what changed, and the journal with it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Error, Store};
use crate::order::{diff::Changes, model::AddressContent};

/// The journal's row of one batch.
#[derive(Debug, Clone)]
pub struct BatchRow {
    /// Its id, ours.
    pub batch: Uuid,
    /// When its body was read.
    pub received_at: DateTime<Utc>,
    /// `X-Request-Id`.
    pub request_id: String,
    /// Who sent it; `None` when anonymous.
    pub login: Option<String>,
    /// Entries in the answer.
    pub orders: usize,
    /// Of them accepted.
    pub accepted: usize,
    /// Of them rejected.
    pub rejected: usize,
}

/// The journal's row of one rejected order.
#[derive(Debug, Clone)]
pub struct RejectedRow<'a> {
    /// Of which batch.
    pub batch: Uuid,
    /// The element's place in it.
    pub position: usize,
    /// The key it was answered under.
    pub key: String,
    /// As received.
    pub body: &'a str,
    /// As answered.
    pub faults: Value,
}

/// What one statement writes.
#[derive(Debug)]
pub struct Write<'a> {
    /// Rows of orders, lines, clients and addresses.
    pub changes: Changes<'a>,
    /// One for each batch that shares the transaction, at least one.
    pub batches: Vec<BatchRow>,
    /// Rejected orders of those batches.
    pub rejected: Vec<RejectedRow<'a>>,
    /// By the database's clock: past it nothing is stored, for the caller was given up on.
    pub deadline: DateTime<Utc>,
    /// Look whether the database would take it, and take it back.
    pub probe: bool,
}

/// A number for PostgreSQL's `int`; what does not fit is refused by the column's own checks.
fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
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
            rejected,
            deadline,
            probe,
        } = write;

        let batch: Vec<_> = batches.iter().map(|b| b.batch).collect();
        let received_at: Vec<_> = batches.iter().map(|b| b.received_at).collect();
        let request_id: Vec<_> = batches.iter().map(|b| b.request_id.as_str()).collect();
        let login: Vec<_> = batches.iter().map(|b| b.login.as_deref()).collect();
        let orders: Vec<_> = batches.iter().map(|b| int(b.orders)).collect();
        let accepted: Vec<_> = batches.iter().map(|b| int(b.accepted)).collect();
        let rejected_count: Vec<_> = batches.iter().map(|b| int(b.rejected)).collect();

        if changes.is_empty() && rejected.is_empty() && !probe {
            // Nothing to lose but a line of the journal: no need to wait for the disk.
            let statement = sqlx::query!(
                "WITH asynchronous AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
                 INSERT INTO journal_batch (publication, batch, received_at, stored_at, deadline, request_id, login,
                                            orders, accepted, rejected, updated_rows, changed_rows)
                 SELECT $1, t.batch, t.received_at, clock_timestamp(), $9, t.request_id, t.login, t.orders,
                        t.accepted, t.rejected, 0, 0
                 FROM asynchronous,
                      unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[])
                     AS t (batch, received_at, request_id, login, orders, accepted, rejected)",
                publication,
                &batch,
                &received_at,
                &request_id as _,
                &login as _,
                &orders,
                &accepted,
                &rejected_count,
                deadline,
            )
            .execute(&mut *connection);
            let written = self.in_time(statement).await;
            return self.done(connection, written).map(drop);
        }

        let clients: Vec<_> = changes.clients.iter().map(|(_, client)| *client).collect();
        let client_phones: Vec<_> = clients.iter().map(|c| c.phones.join(" ")).collect();
        let addresses: Vec<_> = changes
            .addresses
            .iter()
            .map(|(_, _, address)| *address)
            .collect();
        let content = |text: fn(&AddressContent) -> &str| -> Vec<&str> {
            addresses.iter().map(|a| text(&a.content)).collect()
        };
        let sent_orders: Vec<_> = changes.orders.iter().map(|(_, order)| *order).collect();
        let items = &changes.items;

        let statement = sqlx::query_file!(
            "src/store/write.sql",
            publication,
            &clients.iter().map(|c| c.number).collect::<Vec<_>>(),
            &changes
                .clients
                .iter()
                .map(|(version, _)| *version)
                .collect::<Vec<_>>(),
            &clients
                .iter()
                .map(|c| c.sender_id.as_deref())
                .collect::<Vec<_>>() as _,
            &clients
                .iter()
                .map(|c| c.guest_phone.as_deref())
                .collect::<Vec<_>>() as _,
            &clients
                .iter()
                .map(|c| c.username.as_str())
                .collect::<Vec<_>>() as _,
            &clients
                .iter()
                .map(|c| c.phone.as_deref())
                .collect::<Vec<_>>() as _,
            &client_phones,
            &clients
                .iter()
                .map(|c| c.email.as_deref())
                .collect::<Vec<_>>() as _,
            &clients
                .iter()
                .map(|c| c.comment.as_deref())
                .collect::<Vec<_>>() as _,
            &clients.iter().map(|c| c.account_number).collect::<Vec<_>>() as _,
            &clients.iter().map(|c| c.kind.as_str()).collect::<Vec<_>>() as _,
            &addresses.iter().map(|a| a.number).collect::<Vec<_>>(),
            &changes
                .addresses
                .iter()
                .map(|(is_new, _, _)| *is_new)
                .collect::<Vec<_>>(),
            &changes
                .addresses
                .iter()
                .map(|(_, client, _)| *client)
                .collect::<Vec<_>>(),
            &addresses
                .iter()
                .map(|a| a.sender_id.as_deref())
                .collect::<Vec<_>>() as _,
            &content(|c| &c.city) as _,
            &content(|c| &c.street) as _,
            &content(|c| &c.house) as _,
            &content(|c| &c.str) as _,
            &addresses
                .iter()
                .map(|a| a.content.entrance.as_deref())
                .collect::<Vec<_>>() as _,
            &addresses
                .iter()
                .map(|a| a.content.floor.as_deref())
                .collect::<Vec<_>>() as _,
            &addresses
                .iter()
                .map(|a| a.content.room.as_deref())
                .collect::<Vec<_>>() as _,
            &sent_orders.iter().map(|o| o.number).collect::<Vec<_>>(),
            &changes
                .orders
                .iter()
                .map(|(version, _)| *version)
                .collect::<Vec<_>>(),
            &sent_orders.iter().map(|o| o.uuid).collect::<Vec<_>>(),
            &sent_orders
                .iter()
                .map(|o| o.sender_id.as_str())
                .collect::<Vec<_>>() as _,
            &sent_orders
                .iter()
                .map(|o| o.status.as_str())
                .collect::<Vec<_>>() as _,
            &sent_orders
                .iter()
                .map(|o| o.client_number)
                .collect::<Vec<_>>(),
            &sent_orders
                .iter()
                .map(|o| o.address_number)
                .collect::<Vec<_>>(),
            &sent_orders.iter().map(|o| o.created_at).collect::<Vec<_>>(),
            &sent_orders.iter().map(|o| o.total).collect::<Vec<_>>(),
            &sent_orders
                .iter()
                .map(|o| o.delivery_cost)
                .collect::<Vec<_>>() as _,
            &sent_orders.iter().map(|o| o.coins).collect::<Vec<_>>() as _,
            &sent_orders
                .iter()
                .map(|o| o.payment_type.as_deref())
                .collect::<Vec<_>>() as _,
            &sent_orders
                .iter()
                .map(|o| o.payment_status)
                .collect::<Vec<_>>(),
            &sent_orders
                .iter()
                .map(|o| o.shipping_date_from)
                .collect::<Vec<_>>(),
            &sent_orders
                .iter()
                .map(|o| o.shipping_date_to)
                .collect::<Vec<_>>(),
            &sent_orders
                .iter()
                .map(|o| o.comment.as_deref())
                .collect::<Vec<_>>() as _,
            &sent_orders
                .iter()
                .map(|o| o.count_of_returned_bottles)
                .collect::<Vec<_>>(),
            &sent_orders
                .iter()
                .map(|o| o.ask_for_checkout.as_ref().map(Json))
                .collect::<Vec<_>>() as _,
            &items.iter().map(|i| i.order_number).collect::<Vec<_>>(),
            &items.iter().map(|i| int(i.position)).collect::<Vec<_>>(),
            &items.iter().map(|i| i.is_new).collect::<Vec<_>>(),
            &items
                .iter()
                .map(|i| i.item.product_id.as_str())
                .collect::<Vec<_>>() as _,
            &items
                .iter()
                .map(|i| i.item.sender_id.as_deref())
                .collect::<Vec<_>>() as _,
            &items.iter().map(|i| i.item.external_id).collect::<Vec<_>>() as _,
            &items
                .iter()
                .map(|i| i.item.product_number)
                .collect::<Vec<_>>() as _,
            &items
                .iter()
                .map(|i| i.item.name.as_deref())
                .collect::<Vec<_>>() as _,
            &items.iter().map(|i| i.item.price).collect::<Vec<_>>(),
            &items.iter().map(|i| i.item.quantity).collect::<Vec<_>>(),
            &items
                .iter()
                .map(|i| i.item.order_product_id)
                .collect::<Vec<_>>() as _,
            &rejected.iter().map(|r| r.batch).collect::<Vec<_>>(),
            &rejected.iter().map(|r| int(r.position)).collect::<Vec<_>>(),
            &rejected.iter().map(|r| r.key.as_str()).collect::<Vec<_>>() as _,
            &rejected.iter().map(|r| r.body).collect::<Vec<_>>() as _,
            &rejected.iter().map(|r| Json(&r.faults)).collect::<Vec<_>>() as _,
            deadline,
            int(changes.updates()),
            &batch,
            &received_at,
            &request_id as _,
            &login as _,
            &orders,
            &accepted,
            &rejected_count,
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
        );
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
