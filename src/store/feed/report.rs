//! Stores what the back office says of orders.
//!
//! The orders are locked first, so nothing is decided twice; a batch that writes one of them meanwhile waits, and then finds
//! that it was overtaken.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::{
    order::model::Status,
    store::{Error, Store},
};

/// An order, as far as the back office may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub number: i32,
    pub version: i32,
    pub status: Status,
    pub receiver: Receiver,
}

/// What the back office said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receiver {
    /// Of which version of the order that was; 0: it said nothing yet.
    pub version: i32,
    /// Its own number of it, and its id.
    pub number: Option<String>,
    pub uid: Option<String>,
    /// Why it could not take it.
    pub error: Option<String>,
}

/// An order of which something new was said. The versions of both are the stored one's.
#[derive(Debug)]
pub struct Reported {
    pub before: Known,
    pub after: Known,
}

/// Who says it, for the order's history.
#[derive(Debug, Clone, Copy)]
pub struct Who<'w> {
    pub login: Option<&'w str>,
    pub request_id: Option<&'w str>,
}

impl Store {
    /// What the back office said of an order last, and when; `None`: nothing.
    pub async fn receiver_of(
        &self,
        publication: &str,
        number: i32,
    ) -> Result<Option<(Receiver, DateTime<Utc>)>, Error> {
        let row = sqlx::query!(
            "SELECT version, number, uid, error, said_at FROM order_receiver
             WHERE publication = $1 AND order_number = $2",
            publication,
            number,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(Error::Unavailable)?;
        Ok(row.map(|row| {
            let receiver = Receiver {
                version: row.version,
                number: row.number,
                uid: row.uid,
                error: row.error,
            };
            (receiver, row.said_at)
        }))
    }

    /// Lets `decide` say what is to become of the orders of these numbers, and stores that, in one transaction.
    ///
    /// # Errors
    /// [`Error::Overtaken`]: again. [`Error::Unsure`] when the connection broke in the commit; the same again is safe.
    pub async fn report<T>(
        &self,
        publication: &str,
        numbers: &[i32],
        who: &Who<'_>,
        decide: impl FnOnce(&HashMap<i32, Known>) -> (Vec<Reported>, T),
    ) -> Result<T, Error> {
        let mut connection = self.connection().await?;
        let reported = report(&mut connection, publication, numbers, who, decide);
        let reported = self.in_time(reported).await;
        let (moved, said) = connection.done(reported)?;
        if moved {
            self.tell_news(publication);
        }
        Ok(said)
    }
}

/// Whether an order moved in the feed, and what `decide` said.
async fn report<T>(
    connection: &mut PgConnection,
    publication: &str,
    numbers: &[i32],
    who: &Who<'_>,
    decide: impl FnOnce(&HashMap<i32, Known>) -> (Vec<Reported>, T),
) -> Result<(bool, T), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let orders = sqlx::query!(
        "SELECT number, version, status FROM orders WHERE publication = $1 AND number = ANY ($2)
         ORDER BY number FOR NO KEY UPDATE",
        publication,
        numbers,
    )
    .fetch_all(&mut *transaction)
    .await?;
    let receivers = sqlx::query!(
        "SELECT order_number, version, number, uid, error FROM order_receiver
         WHERE publication = $1 AND order_number = ANY ($2)",
        publication,
        numbers,
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut receivers: HashMap<i32, Receiver> = receivers
        .into_iter()
        .map(|row| {
            let receiver = Receiver {
                version: row.version,
                number: row.number,
                uid: row.uid,
                error: row.error,
            };
            (row.order_number, receiver)
        })
        .collect();
    let mut known = HashMap::new();
    for row in orders {
        let status = Status::parse(&row.status)
            .ok_or_else(|| sqlx::Error::Decode("a status of an order".into()))?;
        let order = Known {
            number: row.number,
            version: row.version,
            status,
            receiver: receivers.remove(&row.number).unwrap_or_default(),
        };
        known.insert(row.number, order);
    }
    let (mut reported, said) = decide(&known);
    reported.sort_unstable_by_key(|order| order.before.number);
    let moved = write(&mut transaction, publication, &reported, who).await?;
    transaction.commit().await?;
    Ok((moved, said))
}

async fn write(
    connection: &mut PgConnection,
    publication: &str,
    reported: &[Reported],
    who: &Who<'_>,
) -> Result<bool, sqlx::Error> {
    let advanced: Vec<_> = reported
        .iter()
        .filter(|o| o.before.status != o.after.status)
        .collect();
    let renumbered = |order: &&Reported| {
        let (before, after) = (&order.before.receiver, &order.after.receiver);
        (&before.number, &before.uid) != (&after.number, &after.uid)
    };
    let renumbered: Vec<i32> = reported
        .iter()
        .filter(renumbered)
        .map(|order| order.before.number)
        .collect();
    if !advanced.is_empty() {
        let numbers: Vec<i32> = advanced.iter().map(|order| order.before.number).collect();
        let versions: Vec<i32> = advanced
            .iter()
            .map(|order| order.before.version + 1)
            .collect();
        let status: Vec<&str> = advanced
            .iter()
            .map(|order| order.after.status.as_str())
            .collect();
        let changes: Vec<_> = advanced
            .iter()
            .map(|order| {
                json!({ "status": [order.before.status.as_str(), order.after.status.as_str()] })
            })
            .collect();
        sqlx::query!(
            // `coalesce` is for Citus: its coordinator crashes where an array's element is set by itself.
            "UPDATE orders SET version = version + 1,
                 status = coalesce(($3::text[])[array_position($2::int[], number)], status)
             WHERE publication = $1 AND number = ANY ($2::int[])",
            publication,
            &numbers,
            &status as _,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "INSERT INTO journal_change (publication, order_number, version, made_at, request_id, login, changes)
             SELECT $1, t.order_number, t.version, now(), $5, $6, t.changes
             FROM unnest($2::int[], $3::int[], $4::jsonb[]) AS t (order_number, version, changes)",
            publication,
            &numbers,
            &versions,
            &changes,
            who.request_id,
            who.login,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "INSERT INTO feed AS f (publication, order_number, version, changed_at, changed_by, by_back_office)
             SELECT $1, t.order_number, t.version, clock_timestamp(), 'back_office', t.version
             FROM unnest($2::int[], $3::int[]) AS t (order_number, version)
             ON CONFLICT (publication, order_number) DO UPDATE
             SET version = excluded.version, position = NULL, changed_at = excluded.changed_at,
                 changed_by = excluded.changed_by, by_back_office = excluded.by_back_office",
            publication,
            &numbers,
            &versions,
        )
        .execute(&mut *connection)
        .await?;
    }
    if !renumbered.is_empty() {
        // The order is as it was, and so are its version and its author; but whoever tells others its number must hear of it.
        sqlx::query!(
            "UPDATE feed SET position = NULL, renumbered = true
             WHERE publication = $1 AND order_number = ANY ($2)",
            publication,
            &renumbered,
        )
        .execute(&mut *connection)
        .await?;
    }
    let receivers: Vec<_> = reported
        .iter()
        .filter(|o| o.before.receiver != o.after.receiver)
        .collect();
    if !receivers.is_empty() {
        let receiver = |of: fn(&Receiver) -> Option<&str>| -> Vec<Option<&str>> {
            receivers
                .iter()
                .map(|order| of(&order.after.receiver))
                .collect()
        };
        sqlx::query!(
            "INSERT INTO order_receiver AS r (publication, order_number, version, number, uid, error, said_at)
             SELECT $1, t.*, now()
             FROM unnest($2::int[], $3::int[], $4::text[], $5::text[], $6::text[])
                 AS t (order_number, version, number, uid, error)
             ON CONFLICT (publication, order_number) DO UPDATE
             SET version = excluded.version, number = excluded.number, uid = excluded.uid, error = excluded.error,
                 put_aside = false,
                 -- When it said so first: the same of a newer version is no news.
                 said_at = CASE WHEN (r.number, r.uid, r.error) IS DISTINCT FROM (excluded.number, excluded.uid, excluded.error)
                                THEN excluded.said_at ELSE r.said_at END",
            publication,
            &receivers.iter().map(|order| order.after.number).collect::<Vec<_>>(),
            &receivers.iter().map(|order| order.after.receiver.version).collect::<Vec<_>>(),
            &receiver(|receiver| receiver.number.as_deref()) as _,
            &receiver(|receiver| receiver.uid.as_deref()) as _,
            &receiver(|receiver| receiver.error.as_deref()) as _,
        )
        .execute(&mut *connection)
        .await?;
    }
    note_refusals(connection, publication, &receivers).await?;
    Ok(!advanced.is_empty() || !renumbered.is_empty())
}

/// Keeps for the orders' history why they were not taken, whatever is said later. The same of the same version is no news.
async fn note_refusals(
    connection: &mut PgConnection,
    publication: &str,
    reported: &[&Reported],
) -> Result<(), sqlx::Error> {
    let refused = reported.iter().filter_map(|order| {
        let (before, after) = (&order.before.receiver, &order.after.receiver);
        let is_new = (before.version, &before.error) != (after.version, &after.error);
        let error = after.error.as_deref().filter(|_| is_new)?;
        Some((order.after.number, (after.version, error)))
    });
    let (numbers, said): (Vec<i32>, Vec<(i32, &str)>) = refused.unzip();
    if numbers.is_empty() {
        return Ok(());
    }
    let (versions, errors): (Vec<i32>, Vec<&str>) = said.into_iter().unzip();
    sqlx::query!(
        "INSERT INTO order_refusal (publication, order_number, refused_at, target, version, error)
         SELECT $1, t.order_number, now(), '', t.version, t.error
         FROM unnest($2::int[], $3::int[], $4::text[]) AS t (order_number, version, error)
         ON CONFLICT (publication, order_number, refused_at, target) DO NOTHING",
        publication,
        &numbers,
        &versions,
        &errors as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
