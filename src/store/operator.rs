//! What an operator does by hand: look one order up, move its status on.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{Error, Store, console::Act};
use crate::order::{
    known::Keys,
    model::{Client, Order, Status},
};

/// An order, as far as it takes to tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub number: i32,
    pub sender_id: String,
    pub client_number: i32,
    pub version: i32,
    pub status: Status,
}

impl Store {
    /// The orders with that sender's id and with that number: one, two different ones, or none.
    pub async fn find_orders(
        &self,
        publication: &str,
        sender_id: Option<&str>,
        number: Option<i32>,
    ) -> Result<Vec<Found>, Error> {
        let rows = sqlx::query!(
            "SELECT number, sender_id, client_number, version, status FROM orders
             WHERE publication = $1 AND (sender_id = $2 OR number = $3)",
            publication,
            sender_id,
            number,
        )
        .fetch_all(self.pool())
        .await
        .map_err(Error::Unavailable)?;
        rows.into_iter()
            .map(|row| {
                Some(Found {
                    number: row.number,
                    sender_id: row.sender_id,
                    client_number: row.client_number,
                    version: row.version,
                    status: Status::parse(&row.status)?,
                })
            })
            .collect::<Option<_>>()
            .ok_or_else(|| Error::corrupt("a status"))
    }

    /// When the last batch came in of which an order was accepted.
    pub async fn last_accepted_at(
        &self,
        publication: &str,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        sqlx::query_scalar!(
            "SELECT received_at FROM journal_batch WHERE publication = $1 AND accepted > 0 AND NOT dry_run
             ORDER BY received_at DESC LIMIT 1",
            publication,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(Error::Unavailable)
    }

    /// The order that was found, whole, and its client; `None` when it went to another client meanwhile.
    pub async fn order_with_client(
        &self,
        publication: &str,
        found: &Found,
    ) -> Result<Option<(Order, Client)>, Error> {
        let mut keys = Keys::default();
        keys.order_ids.insert(&found.sender_id);
        keys.client_numbers.insert(found.client_number);
        let mut known = self.read(publication, &keys, true, usize::MAX).await?;
        let order = known.orders.pop().map(Arc::unwrap_or_clone);
        let client = known.clients.pop().map(Arc::unwrap_or_clone);
        let both = order.zip(client);
        Ok(both.filter(|(order, client)| order.client_number == client.number))
    }

    /// Sets the status of the order as it was found. `false`: somebody wrote it meanwhile, nothing is changed. If the connection
    /// breaks ([`Error::Unsure`]), setting it again is safe. `by`: an operator of the console.
    pub async fn set_status(
        &self,
        publication: &str,
        found: &Found,
        status: Status,
        by: Option<Act<'_>>,
    ) -> Result<bool, Error> {
        let changes = json!({ "status": [found.status.as_str(), status.as_str()] });
        // An order's writers rely on its version: whoever read the old status must read again.
        let done = sqlx::query!(
            "WITH changed AS (
                 UPDATE orders SET status = $4, version = version + 1
                 WHERE publication = $1 AND number = $2 AND version = $3
                 RETURNING version
             ), feed AS (
                 INSERT INTO feed AS f (publication, order_number, version, changed_at, changed_by, by_operator)
                 SELECT $1, $2, version, clock_timestamp(), 'operator', version FROM changed
                 ON CONFLICT (publication, order_number) DO UPDATE
                 SET version = excluded.version, position = NULL, changed_at = excluded.changed_at,
                     changed_by = excluded.changed_by, by_operator = excluded.by_operator
             ), act AS (
                 INSERT INTO operator_action (publication, action, made_at, login, kind, order_number, details)
                 SELECT $1, $6::uuid, now(), $7::text, 'set_status', $2, $5 FROM changed WHERE $6::uuid IS NOT NULL
             )
             INSERT INTO journal_change (publication, order_number, version, made_at, login, changes)
             SELECT $1, $2, version, now(), $7::text, $5 FROM changed",
            publication,
            found.number,
            found.version,
            status.as_str(),
            changes,
            by.map(|by| by.id),
            by.map(|by| by.login),
        )
        .execute(self.pool())
        .await
        .map_err(Error::of_statement)?;
        Ok(done.rows_affected() == 1)
    }
}
