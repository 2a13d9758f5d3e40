//! What an operator sees of a target, and does with it.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{Store, Target};
use crate::store::{Error, console::Act};

/// A target as it stands.
#[derive(Debug, Clone)]
pub struct Overview {
    pub position: i64,
    pub paused: bool,
    pub failures: i32,
    pub next_try_at: DateTime<Utc>,
    pub failing_since: Option<DateTime<Utc>>,
    pub error: Option<String>,
    pub refuses_us: bool,
    pub delivered_at: Option<DateTime<Utc>>,
    /// Whether somebody sends to it just now.
    pub is_leased: bool,
}

/// An order that a target has not taken.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub order_number: i32,
    pub sender_id: String,
    pub refusals: i32,
    /// `None`: it is dead.
    pub next_try_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
}

/// A request that was sent.
#[derive(Debug, Clone)]
pub struct PastAttempt {
    pub attempt: Uuid,
    pub began_at: DateTime<Utc>,
    pub milliseconds: i32,
    pub status: Option<i32>,
    pub orders: i32,
    pub taken: i32,
    pub refused: i32,
    pub error: Option<String>,
}

/// Which orders are to be sent again. Of withheld ones only those that are named by their numbers.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Those that are dead.
    Dead,
    /// Those that are parked or dead.
    All,
    /// This one, if it is parked or dead.
    One(i32),
    /// These, whatever became of them.
    Numbers(&'a [i32]),
}

impl Store {
    /// `None`: nothing was ever to be sent there.
    pub async fn target_overview(&self, target: Target<'_>) -> Result<Option<Overview>, Error> {
        sqlx::query_as!(
            Overview,
            r#"SELECT position, paused, failures, next_try_at, failing_since, error, refuses_us, delivered_at,
                      coalesce(leased_until > now(), false) AS "is_leased!"
               FROM target WHERE publication = $1 AND name = $2"#,
            target.publication,
            target.name,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(Error::Unavailable)
    }

    /// The parked and dead orders of a target, dead ones first.
    pub async fn target_deliveries(
        &self,
        target: Target<'_>,
        most: i64,
    ) -> Result<Vec<Delivery>, Error> {
        sqlx::query_as!(
            Delivery,
            "SELECT d.order_number, o.sender_id, d.refusals, d.next_try_at, d.error
             FROM target_delivery d
             JOIN orders o ON o.publication = d.publication AND o.number = d.order_number
             WHERE d.publication = $1 AND d.target = $2 AND NOT d.withheld
             ORDER BY d.next_try_at NULLS FIRST, d.order_number LIMIT $3",
            target.publication,
            target.name,
            most,
        )
        .fetch_all(self.pool())
        .await
        .map_err(Error::Unavailable)
    }

    /// The last requests, the newest first.
    pub async fn target_attempts(
        &self,
        target: Target<'_>,
        most: i64,
    ) -> Result<Vec<PastAttempt>, Error> {
        sqlx::query_as!(
            PastAttempt,
            "SELECT attempt, began_at, milliseconds, status, orders, taken, refused, error FROM target_attempt
             WHERE publication = $1 AND target = $2 ORDER BY attempt DESC LIMIT $3",
            target.publication,
            target.name,
            most,
        )
        .fetch_all(self.pool())
        .await
        .map_err(Error::Unavailable)
    }

    /// Stops or resumes sending to a target. A request that is under way is finished.
    pub async fn pause_target(&self, target: Target<'_>, paused: bool) -> Result<(), Error> {
        self.make_target(target).await?;
        let done = sqlx::query!(
            "UPDATE target SET paused = $3, next_try_at = now() WHERE publication = $1 AND name = $2",
            target.publication,
            target.name,
            paused,
        )
        .execute(self.pool())
        .await;
        done.map_err(Error::of_statement)?;
        Ok(())
    }

    /// Has orders sent again, at once; says how many. An unknown number is no order and not counted; of one that was erased nothing is
    /// left to send. `by`: an operator of the console; of numbers he names one.
    pub async fn resend(
        &self,
        target: Target<'_>,
        which: Which<'_>,
        by: Option<Act<'_>>,
    ) -> Result<u64, Error> {
        let (dead_only, one, numbers) = match which {
            Which::Dead => (true, None, None),
            Which::All => (false, None, None),
            Which::One(number) => (false, Some(number), None),
            Which::Numbers(numbers) => (false, None, Some(numbers)),
        };
        let mut transaction = self.pool().begin().await.map_err(Error::Unavailable)?;
        // As a sending does: the target's row first.
        sqlx::query!(
            "UPDATE target SET next_try_at = now() WHERE publication = $1 AND name = $2",
            target.publication,
            target.name,
        )
        .execute(&mut *transaction)
        .await
        .map_err(Error::of_statement)?;
        let done = match numbers {
            None => {
                let resent = sqlx::query!(
                    "UPDATE target_delivery SET next_try_at = now(), refusals = 0
                     WHERE publication = $1 AND target = $2 AND NOT withheld AND (next_try_at IS NULL OR NOT $3)
                       AND ($4::int IS NULL OR order_number = $4)
                       -- Of two clicks the second finds nothing.
                       AND (NOT $5 OR next_try_at IS NULL OR next_try_at > now())",
                    target.publication,
                    target.name,
                    dead_only,
                    one,
                    by.is_some(),
                );
                let resent = resent.execute(&mut *transaction).await;
                let resent = resent.map_err(Error::of_statement)?.rows_affected();
                if let Some(by) = by.filter(|_| resent > 0) {
                    let details = match one {
                        Some(_) => json!({ "target": target.name }),
                        None => json!({ "target": target.name, "orders": resent }),
                    };
                    by.note(
                        &mut transaction,
                        target.publication,
                        "resend",
                        one,
                        &details,
                    )
                    .await
                    .map_err(Error::of_statement)?;
                }
                resent
            }
            Some(numbers) => {
                if let Some(by) = by {
                    sqlx::query!(
                        "INSERT INTO operator_action (publication, action, made_at, login, kind, order_number, details)
                         SELECT $1, $4::uuid, now(), $5::text, 'resend', o.number, jsonb_build_object('target', $2::text)
                         FROM orders o
                         WHERE o.publication = $1 AND o.number = ANY ($3) AND o.shipping_address->>'str' <> ''",
                        target.publication,
                        target.name,
                        numbers,
                        by.id,
                        by.login,
                    )
                    .execute(&mut *transaction)
                    .await
                    .map_err(Error::of_statement)?;
                }
                // Apart, for Citus refuses it behind a WITH that inserts.
                sqlx::query!(
                    "INSERT INTO target_delivery (publication, target, order_number, version, refusals, next_try_at)
                     SELECT o.publication, $2, o.number, o.version, 0, now() FROM orders o
                     WHERE o.publication = $1 AND o.number = ANY ($3) AND o.shipping_address->>'str' <> ''
                     ON CONFLICT (publication, target, order_number) DO UPDATE SET
                         version = excluded.version, refusals = 0, next_try_at = excluded.next_try_at, withheld = false",
                    target.publication,
                    target.name,
                    numbers,
                )
                .execute(&mut *transaction)
                .await
                .map_err(Error::of_statement)?
                .rows_affected()
            }
        };
        transaction.commit().await.map_err(Error::of_statement)?;
        Ok(done)
    }

    /// Has an order that the target refused not be sent there any more, as it is: a newer version is. `false`: it was not refused, was
    /// taken meanwhile, or is withheld already.
    pub async fn withhold(
        &self,
        target: Target<'_>,
        number: i32,
        by: Act<'_>,
    ) -> Result<bool, Error> {
        let mut transaction = self.pool().begin().await.map_err(Error::Unavailable)?;
        // As a sending does: the target's row first.
        sqlx::query!(
            "SELECT name FROM target WHERE publication = $1 AND name = $2 FOR NO KEY UPDATE",
            target.publication,
            target.name,
        )
        .fetch_optional(&mut *transaction)
        .await
        .map_err(Error::of_statement)?;
        let done = sqlx::query!(
            "UPDATE target_delivery SET withheld = true, next_try_at = NULL
             WHERE publication = $1 AND target = $2 AND order_number = $3 AND NOT withheld AND error IS NOT NULL",
            target.publication,
            target.name,
            number,
        )
        .execute(&mut *transaction)
        .await
        .map_err(Error::of_statement)?;
        let is_new = done.rows_affected() > 0;
        if is_new {
            let details = json!({ "target": target.name });
            by.note(
                &mut transaction,
                target.publication,
                "withhold",
                Some(number),
                &details,
            )
            .await
            .map_err(Error::of_statement)?;
        }
        transaction.commit().await.map_err(Error::of_statement)?;
        Ok(is_new)
    }
}
