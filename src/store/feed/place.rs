//! Gives the feed's rows their positions.
//!
//! A few short statements in one READ COMMITTED transaction, and the lock first in a statement of its own: the next one sees
//! all that whoever held it before has committed. Under the lock positions only grow, so none is ever given below one that
//! a reader may have seen. Rows that somebody writes just now are left for the next time; nobody waits for them, and they
//! wait for nobody.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::store::{Error, Store};

impl Store {
    /// Gives positions to rows of the publication that have none, to a thousand at most; says to how many.
    pub async fn place(&self, publication: &str) -> Result<usize, Error> {
        if !self.feed_state(publication).await?.has_unplaced {
            return Ok(0);
        }
        let mut connection = self.connection().await?;
        let placed = self.in_time(place(&mut connection, publication)).await;
        connection.done(placed)
    }
}

async fn place(connection: &mut PgConnection, publication: &str) -> Result<usize, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let head = loop {
        let head = sqlx::query_scalar!(
            "SELECT position FROM feed_head WHERE publication = $1 FOR UPDATE",
            publication,
        );
        if let Some(head) = head.fetch_optional(&mut *transaction).await? {
            break head;
        }
        // The publication's first placement.
        sqlx::query!(
            "INSERT INTO feed_head (publication, position, mark) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING",
            publication,
            Uuid::new_v4(),
        )
        .execute(&mut *transaction)
        .await?;
    };
    let mut rows = sqlx::query!(
        // A thousand at most: the transaction is to be short, for others wait for it.
        "SELECT order_number, changed_at FROM feed WHERE publication = $1 AND position IS NULL
         LIMIT 1000 FOR UPDATE SKIP LOCKED",
        publication,
    )
    .fetch_all(&mut *transaction)
    .await?;
    if rows.is_empty() {
        transaction.rollback().await?;
        return Ok(0);
    }
    rows.sort_unstable_by_key(|row| (row.changed_at, row.order_number));
    let mut steps: Vec<(i32, i64)> = rows.iter().map(|row| row.order_number).zip(1..).collect();
    steps.sort_unstable();
    let (numbers, steps): (Vec<i32>, Vec<i64>) = steps.into_iter().unzip();
    let last = head + i64::try_from(rows.len()).unwrap_or(i64::MAX - head);
    sqlx::query!(
        // The numbers are sorted, so `width_bucket` finds an order's without going through them. That a sum is set and no element by
        // itself is for Citus: its coordinator crashes on the latter.
        //
        // Besides, who changed it since its last placement, for readers who take the changes of some alone.
        "UPDATE feed SET
             position = $2::bigint + ($4::bigint[])[width_bucket(order_number, $3::int[])],
             placed_version = version,
             renumbered = NULL,
             sender_position = CASE WHEN by_sender > coalesce(placed_version, 0)
                 THEN $2::bigint + ($4::bigint[])[width_bucket(order_number, $3::int[])] ELSE sender_position END,
             operator_position = CASE WHEN by_operator > coalesce(placed_version, 0)
                 THEN $2::bigint + ($4::bigint[])[width_bucket(order_number, $3::int[])] ELSE operator_position END,
             back_office_position = CASE WHEN renumbered OR by_back_office > coalesce(placed_version, 0)
                 THEN $2::bigint + ($4::bigint[])[width_bucket(order_number, $3::int[])] ELSE back_office_position END
         WHERE publication = $1 AND order_number = ANY ($3::int[])",
        publication,
        head,
        &numbers,
        &steps,
    )
    .execute(&mut *transaction)
    .await?;
    // Random, and not made from the clock: a clock that was put back must not make one twice.
    let mark = Uuid::new_v4();
    sqlx::query!(
        "UPDATE feed_head SET position = $2, mark = $3 WHERE publication = $1",
        publication,
        last,
        mark,
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO feed_mark (publication, position, mark, placed_at)
         SELECT $1, $2, $3, greatest(clock_timestamp(), (
             SELECT placed_at FROM feed_mark WHERE publication = $1 ORDER BY position DESC LIMIT 1
         ))",
        publication,
        last,
        mark,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(numbers.len())
}
