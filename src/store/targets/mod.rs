//! Targets as they are stored: how far each was sent, its lease, what is parked. All moments are the database's: no instance's
//! clock decides anything.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::{Error, Store};
use crate::order::maker::Maker;

mod finish;
mod operator;

pub use finish::{Attempt, Finish, Progress, Refused, TRIES};
pub use operator::{Delivery, Overview, PastAttempt, Which};

/// A lag is counted up to so many orders, among as many rows of the feed. (The statements say all such numbers themselves: of a
/// parameter the planner believes that it may be a tenth of all rows, and sorts them.)
pub const COUNTED: i64 = 10_000;

/// A target's key.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub publication: &'a str,
    pub name: &'a str,
    /// Where a new one begins: with what was changed from then on; `None`: with everything.
    pub since: Option<DateTime<Utc>>,
}

/// Whose changes a target takes.
#[derive(Debug, Clone, Copy)]
pub struct Takes {
    pub sender: bool,
    pub operator: bool,
    pub back_office: bool,
}

impl From<&[Maker]> for Takes {
    fn from(makers: &[Maker]) -> Self {
        Self {
            sender: makers.contains(&Maker::Sender),
            operator: makers.contains(&Maker::Operator),
            back_office: makers.contains(&Maker::BackOffice),
        }
    }
}

impl Takes {
    fn names(self) -> Vec<String> {
        let makers = [
            (self.sender, Maker::Sender),
            (self.operator, Maker::Operator),
            (self.back_office, Maker::BackOffice),
        ];
        let taken = makers.into_iter().filter(|(taken, _)| *taken);
        taken.map(|(_, maker)| maker.as_str().to_owned()).collect()
    }
}

/// A cheap look at a target.
#[derive(Debug, Clone, Default)]
pub struct Look {
    pub paused: bool,
    pub failures: i32,
    pub refuses_us: bool,
    /// Whether the feed has something behind the target's position, or rows without one.
    pub feed_goes_on: bool,
    /// Until it may be tried again.
    pub wait: Duration,
    /// Until the next parked order is due; `None`: there is none.
    pub next_parked: Option<Duration>,
    pub parked: i64,
    pub dead: i64,
    /// Orders that it does not have yet as they are now, [`COUNTED`] at most, without those.
    pub lag_orders: i64,
    /// How long ago the oldest of these was changed.
    pub lag: Duration,
}

/// What a sending begins with.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    pub position: i64,
    pub failures: i32,
}

/// A row of the feed behind a target's position.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub position: i64,
    pub order_number: i32,
    /// Whether the target takes what changed.
    pub is_wanted: bool,
}

/// An order that is to be sent.
#[derive(Debug, Clone)]
pub struct ToSend {
    pub number: i32,
    pub sender_id: String,
    pub client_number: i32,
    /// Whether that is the back office's own number of the client.
    pub client_is_numbered_there: bool,
    /// What the back office calls the order.
    pub receiver_number: Option<String>,
}

/// No pause is longer, and no lease: a moment further ahead is of a clock that was wrong.
const LONGEST_PAUSE: Duration = Duration::from_hours(2);

fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}

impl Store {
    /// Looks what there is to do for a target, which is made where it is new.
    pub async fn look_at_target(&self, target: Target<'_>, takes: Takes) -> Result<Look, Error> {
        loop {
            let asked = sqlx::query!(
                r#"SELECT t.paused, t.failures, t.refuses_us,
                          (head.position > t.position OR unplaced.there) AS "feed_goes_on!",
                          CASE WHEN t.next_try_at > now() + $4::interval THEN 0
                               ELSE extract(epoch FROM t.next_try_at - now())::float8 END AS "wait!",
                          extract(epoch FROM d.next - now())::float8 AS next_parked,
                          d.parked AS "parked!", d.dead AS "dead!", lag.orders AS "lag_orders!",
                          coalesce(extract(epoch FROM now() - lag.oldest)::float8, 0) AS "lag!"
                   FROM target t
                   CROSS JOIN LATERAL (
                       SELECT coalesce((SELECT h.position FROM feed_head h WHERE h.publication = $1), 0) AS position
                   ) head
                   CROSS JOIN LATERAL (
                       SELECT EXISTS (SELECT FROM feed f WHERE f.publication = $1 AND f.position IS NULL) AS there
                   ) unplaced
                   CROSS JOIN LATERAL (
                       SELECT count(*) FILTER (WHERE d.next_try_at IS NOT NULL) AS parked,
                              count(*) FILTER (WHERE d.next_try_at IS NULL) AS dead, min(d.next_try_at) AS next
                       FROM target_delivery d WHERE d.publication = $1 AND d.target = $2 AND NOT d.withheld
                   ) d
                   CROSS JOIN LATERAL (
                       SELECT count(*) AS orders, min(changed_at) AS oldest FROM (
                           SELECT f.changed_at FROM (
                               SELECT * FROM feed f WHERE f.publication = $1 AND f.position > t.position
                               ORDER BY f.position LIMIT 10000
                           ) f
                           WHERE ('sender' = ANY ($3) AND f.sender_position > t.position)
                              OR ('operator' = ANY ($3) AND f.operator_position > t.position)
                              OR ('back_office' = ANY ($3) AND f.back_office_position > t.position)
                           UNION ALL
                           SELECT f.changed_at FROM (
                               SELECT * FROM feed f WHERE f.publication = $1 AND f.position IS NULL LIMIT 10000
                           ) f
                           WHERE f.changed_by = ANY ($3)
                       ) late
                   ) lag
                   WHERE t.publication = $1 AND t.name = $2"#,
                target.publication,
                target.name,
                &takes.names(),
                interval(LONGEST_PAUSE),
            )
            .fetch_optional(self.pool());
            let found = self.answer(asked).await?;
            if let Some(found) = found {
                return Ok(Look {
                    paused: found.paused,
                    failures: found.failures,
                    refuses_us: found.refuses_us,
                    feed_goes_on: found.feed_goes_on,
                    wait: seconds(found.wait),
                    next_parked: found.next_parked.map(seconds),
                    parked: found.parked,
                    dead: found.dead,
                    lag_orders: found.lag_orders.min(COUNTED),
                    lag: seconds(found.lag),
                });
            }
            self.make_target(target).await?;
        }
    }

    pub(super) async fn make_target(&self, target: Target<'_>) -> Result<(), Error> {
        let before = match target.since {
            Some(since) => self.cursor_since(target.publication, since).await?,
            None => None,
        };
        let made = sqlx::query!(
            "INSERT INTO target (publication, name, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            target.publication,
            target.name,
            before.map_or(0, |cursor| cursor.position),
        )
        .execute(self.pool());
        self.answer(made).await?;
        Ok(())
    }

    /// Takes the lease of a target for so long. `None`: another has it, it is paused, or its time has not come.
    pub async fn claim_target(
        &self,
        target: Target<'_>,
        token: Uuid,
        lease: Duration,
    ) -> Result<Option<Claim>, Error> {
        let claimed = sqlx::query_as!(
            Claim,
            "UPDATE target SET lease = $3, leased_until = now() + $4::interval
             WHERE publication = $1 AND name = $2 AND NOT paused
               AND (lease IS NULL OR leased_until <= now() OR leased_until > now() + $5::interval)
               AND (next_try_at <= now() OR next_try_at > now() + $5::interval)
             RETURNING position, failures",
            target.publication,
            target.name,
            token,
            interval(lease),
            interval(LONGEST_PAUSE),
        )
        .fetch_optional(self.pool());
        self.answer(claimed).await
    }

    /// Gives the lease back without a word of what became of it.
    pub async fn release_target(&self, target: Target<'_>, token: Uuid) -> Result<(), Error> {
        let released = sqlx::query!(
            "UPDATE target SET lease = NULL, leased_until = NULL
             WHERE publication = $1 AND name = $2 AND lease = $3",
            target.publication,
            target.name,
            token,
        )
        .execute(self.pool());
        self.answer(released).await?;
        Ok(())
    }

    /// The next rows of the feed behind a position, in order: four for each order of a request, for not all are wanted.
    pub async fn target_rows(
        &self,
        publication: &str,
        after: i64,
        takes: Takes,
    ) -> Result<Vec<Row>, Error> {
        let asked = sqlx::query_as!(
            Row,
            r#"SELECT f.position AS "position!", f.order_number,
                      coalesce(($3::boolean AND f.sender_position > $2)
                          OR ($4::boolean AND f.operator_position > $2)
                          OR ($5::boolean AND f.back_office_position > $2), false)
                          -- Of an order that was erased nothing is left to send: a target would take blanks for news.
                          AND NOT coalesce((SELECT o.shipping_address->>'str' = '' FROM orders o
                                            WHERE o.publication = $1 AND o.number = f.order_number), false) AS "is_wanted!"
               FROM feed f WHERE f.publication = $1 AND f.position > $2 ORDER BY f.position LIMIT 200"#,
            publication,
            after,
            takes.sender,
            takes.operator,
            takes.back_office,
        )
        .fetch_all(self.pool());
        self.answer(asked).await
    }

    /// The parked order that is due first.
    pub async fn due_delivery(&self, target: Target<'_>) -> Result<Option<i32>, Error> {
        let asked = sqlx::query_scalar!(
            "SELECT order_number FROM target_delivery
             WHERE publication = $1 AND target = $2 AND NOT withheld
               AND (next_try_at <= now() OR next_try_at > now() + interval '1 day')
             ORDER BY next_try_at LIMIT 1",
            target.publication,
            target.name,
        )
        .fetch_optional(self.pool());
        self.answer(asked).await
    }

    /// How orders are called.
    pub async fn orders_to_send(
        &self,
        publication: &str,
        numbers: &[i32],
    ) -> Result<Vec<ToSend>, Error> {
        let asked = sqlx::query_as!(
            ToSend,
            r#"SELECT o.number, o.sender_id, o.client_number, c.numbered_by_receiver AS client_is_numbered_there,
                      r.number AS "receiver_number?"
               FROM unnest($2::int[]) AS k (number)
               CROSS JOIN LATERAL (
                   SELECT o.number, o.sender_id, o.client_number FROM orders o
                   WHERE o.publication = $1 AND o.number = k.number OFFSET 0
               ) o
               CROSS JOIN LATERAL (
                   SELECT c.numbered_by_receiver FROM client c
                   WHERE c.publication = $1 AND c.number = o.client_number OFFSET 0
               ) c
               LEFT JOIN LATERAL (
                   SELECT r.number FROM order_receiver r
                   WHERE r.publication = $1 AND r.order_number = o.number OFFSET 0
               ) r ON true"#,
            publication,
            numbers,
        )
        .fetch_all(self.pool());
        self.answer(asked).await
    }

    /// Our numbers of the orders that have these ids of the sender's.
    pub async fn orders_of(
        &self,
        publication: &str,
        sender_ids: &[String],
    ) -> Result<HashMap<String, i32>, Error> {
        let asked = sqlx::query!(
            "SELECT o.sender_id, o.number FROM unnest($2::text[]) AS k (id)
             CROSS JOIN LATERAL (
                 SELECT o.sender_id, o.number FROM orders o WHERE o.publication = $1 AND o.sender_id = k.id OFFSET 0
             ) o",
            publication,
            sender_ids,
        )
        .fetch_all(self.pool());
        let found = self.answer(asked).await?;
        let found = found.into_iter().map(|row| (row.sender_id, row.number));
        Ok(found.collect())
    }

    /// Of these numbers of the back office's, which orders bear them.
    pub async fn orders_called(
        &self,
        publication: &str,
        numbers: &[String],
    ) -> Result<Vec<(String, i32)>, Error> {
        let asked = sqlx::query!(
            r#"SELECT number AS "number!", order_number FROM order_receiver
               WHERE publication = $1 AND number = ANY ($2)"#,
            publication,
            numbers,
        )
        .fetch_all(self.pool());
        let found = self.answer(asked).await?;
        let found = found.into_iter().map(|row| (row.number, row.order_number));
        Ok(found.collect())
    }

    /// Removes attempts that began before then, `step` at most; says how many.
    ///
    /// # Errors
    /// Trying again is safe.
    pub async fn remove_attempts(
        &self,
        publication: &str,
        before: DateTime<Utc>,
        step: i64,
    ) -> Result<u64, Error> {
        let removed = sqlx::query!(
            "DELETE FROM target_attempt
             WHERE publication = $1 AND (target, attempt) IN (
                 SELECT target, attempt FROM target_attempt
                 WHERE publication = $1 AND began_at < $2 ORDER BY began_at LIMIT $3)",
            publication,
            before,
            step,
        )
        .execute(self.pool());
        let removed = self.answer(removed).await?;
        Ok(removed.rows_affected())
    }
}
