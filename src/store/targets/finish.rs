//! What became of a sending, written in one transaction and only under the token of its lease.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Store, Target, interval};
use crate::store::Error;

/// What a sending leaves behind.
#[derive(Debug, Default)]
pub struct Finish {
    /// All up to here was sent, parked, or not for the target.
    pub position: Option<i64>,
    pub progress: Progress,
    /// Orders that the target has now.
    pub taken: Vec<i32>,
    /// Orders that it refused, and those that are set aside.
    pub refused: Vec<Refused>,
    /// The request, where there was one.
    pub attempt: Option<Attempt>,
}

/// What it means for the next one.
#[derive(Debug, Default)]
pub enum Progress {
    /// The target answered, or was asked nothing: its failures stay as they are.
    #[default]
    Unknown,
    /// It works.
    Works,
    /// It does not.
    Fails {
        error: String,
        pause: Duration,
        refuses_us: bool,
    },
}

/// An order that the target did not take.
#[derive(Debug)]
pub struct Refused {
    pub order_number: i32,
    /// Which was refused. Another one begins to count anew.
    pub version: i32,
    pub error: String,
    /// Whether it counts against the order.
    pub counts: bool,
}

/// A request that was sent.
#[derive(Debug)]
pub struct Attempt {
    pub id: Uuid,
    pub took: Duration,
    pub status: Option<u16>,
    pub orders: usize,
    pub taken: usize,
    pub refused: usize,
    pub error: Option<String>,
}

const PAUSES: usize = 6;
/// How often an order is tried before it is dead.
pub const TRIES: usize = PAUSES + 1;
/// After how many minutes a refused order is tried again; after the last it is dead (contract §8.3).
const TRIED_AGAIN_AFTER: [i32; PAUSES] = [1, 5, 30, 2 * 60, 5 * 60, 10 * 60];

impl Store {
    /// Writes what became of a sending, and gives the lease back. `false`: the lease was lost, and nothing is written.
    pub async fn finish_sending(
        &self,
        target: Target<'_>,
        token: Uuid,
        finish: &Finish,
    ) -> Result<bool, Error> {
        let written = async {
            let mut transaction = self.pool().begin().await?;
            let holds = write(&mut transaction, target, token, finish).await?;
            if holds {
                transaction.commit().await?;
            }
            Ok(holds)
        };
        self.answer(written).await
    }
}

async fn write(
    connection: &mut PgConnection,
    target: Target<'_>,
    token: Uuid,
    finish: &Finish,
) -> Result<bool, sqlx::Error> {
    // The row's lock first: whoever resends or pauses by hand waits, and the lease cannot be lost any more.
    if !state(&mut *connection, target, token, finish).await? {
        return Ok(false);
    }
    if !finish.taken.is_empty() {
        sqlx::query!(
            "UPDATE target SET delivered_at = now() WHERE publication = $1 AND name = $2",
            target.publication,
            target.name,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "DELETE FROM target_delivery WHERE publication = $1 AND target = $2 AND order_number = ANY ($3)",
            target.publication,
            target.name,
            &finish.taken,
        )
        .execute(&mut *connection)
        .await?;
    }
    for refused in &finish.refused {
        park(&mut *connection, target, refused).await?;
        // One that only stands aside while the target fails was not refused.
        if refused.counts {
            note(&mut *connection, target, refused).await?;
        }
    }
    if let Some(attempt) = &finish.attempt {
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let milliseconds = i32::try_from(attempt.took.as_millis()).unwrap_or(i32::MAX);
        sqlx::query!(
            "INSERT INTO target_attempt
                 (publication, target, attempt, began_at, milliseconds, status, orders, taken, refused, error)
             VALUES ($1, $2, $3, clock_timestamp() - $4::interval, $5, $6, $7, $8, $9, $10)",
            target.publication,
            target.name,
            attempt.id,
            interval(attempt.took),
            milliseconds,
            attempt.status.map(i32::from),
            count(attempt.orders),
            count(attempt.taken),
            count(attempt.refused),
            attempt.error,
        )
        .execute(connection)
        .await?;
    }
    Ok(true)
}

/// The target's own row; `false`: the lease was lost.
async fn state(
    connection: &mut PgConnection,
    target: Target<'_>,
    token: Uuid,
    finish: &Finish,
) -> Result<bool, sqlx::Error> {
    // A statement for each, for Citus takes no `now()` in a CASE.
    let done = match &finish.progress {
        Progress::Unknown => sqlx::query!(
            "UPDATE target SET lease = NULL, leased_until = NULL, position = coalesce($4, position)
             WHERE publication = $1 AND name = $2 AND lease = $3",
            target.publication,
            target.name,
            token,
            finish.position,
        ),
        Progress::Works => sqlx::query!(
            "UPDATE target SET
                 lease = NULL, leased_until = NULL, position = coalesce($4, position),
                 failures = 0, failing_since = NULL, error = NULL, refuses_us = false
             WHERE publication = $1 AND name = $2 AND lease = $3",
            target.publication,
            target.name,
            token,
            finish.position,
        ),
        Progress::Fails {
            error,
            pause,
            refuses_us,
        } => sqlx::query!(
            "UPDATE target SET
                 lease = NULL, leased_until = NULL, position = coalesce($4, position),
                 failures = least(failures, 1000000) + 1, next_try_at = now() + $5::interval,
                 failing_since = least(failing_since, now()), error = $6, refuses_us = $7
             WHERE publication = $1 AND name = $2 AND lease = $3",
            target.publication,
            target.name,
            token,
            finish.position,
            interval(*pause),
            error,
            refuses_us,
        ),
    };
    Ok(done.execute(connection).await?.rows_affected() == 1)
}

/// Parks an order until it is tried again, or for good.
async fn park(
    connection: &mut PgConnection,
    target: Target<'_>,
    refused: &Refused,
) -> Result<(), sqlx::Error> {
    let before = sqlx::query!(
        "SELECT refusals, withheld FROM target_delivery
         WHERE publication = $1 AND target = $2 AND order_number = $3 AND version = $4",
        target.publication,
        target.name,
        refused.order_number,
        refused.version,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let stored = before.as_ref().map_or(0, |before| before.refusals);
    let refusals = stored + i32::from(refused.counts);
    // While it was on its way somebody said that it need not be sent again. A newer version is another matter.
    let withheld = before.is_some_and(|before| before.withheld);
    // One that does not count waits as if it were the first.
    let wait = usize::try_from(refusals).unwrap_or_default().max(1) - 1;
    let minutes = TRIED_AGAIN_AFTER.get(wait).copied();
    let minutes = minutes.filter(|_| !withheld);
    sqlx::query!(
        "INSERT INTO target_delivery (publication, target, order_number, version, refusals, next_try_at, error, withheld)
         VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(mins => $6), $7, $8)
         ON CONFLICT (publication, target, order_number) DO UPDATE SET
             version = excluded.version, refusals = excluded.refusals, next_try_at = excluded.next_try_at, error = excluded.error,
             withheld = excluded.withheld",
        target.publication,
        target.name,
        refused.order_number,
        refused.version,
        refusals,
        minutes,
        refused.error,
        withheld,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps what was said for the order's history, whatever is said later.
async fn note(
    connection: &mut PgConnection,
    target: Target<'_>,
    refused: &Refused,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO order_refusal (publication, order_number, refused_at, target, version, error)
         VALUES ($1, $2, clock_timestamp(), $3, $4, $5)",
        target.publication,
        refused.order_number,
        target.name,
        refused.version,
        refused.error,
    )
    .execute(connection)
    .await?;
    Ok(())
}
