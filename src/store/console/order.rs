//! What the page of one order shows besides the order itself.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Act, ActionRow};
use crate::store::{Error, Store};

/// How far an order is with a target.
#[derive(Debug, Clone)]
pub struct OrderAtTarget {
    pub target: String,
    /// The order's last change by each kind of writer stands there in the feed.
    pub by_sender: Option<i64>,
    pub by_operator: Option<i64>,
    pub by_back_office: Option<i64>,
    /// It was changed, and has no place in the feed yet.
    pub is_unplaced: bool,
    pub changed_by: Option<String>,
    /// How far the target is.
    pub position: i64,
    pub paused: bool,
    pub failing_since: Option<DateTime<Utc>>,
    /// The target's own trouble.
    pub error: Option<String>,
    /// The order waits for another try of its own.
    pub is_parked: bool,
    pub refusals: Option<i32>,
    /// `None` of a parked one: it is dead.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Why it was refused.
    pub refused: Option<String>,
    /// An operator said that it is not to be sent any more.
    pub withheld: bool,
}

/// Once that an order was not taken.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub refused_at: DateTime<Utc>,
    /// `None`: the back office reported it by itself.
    pub target: Option<String>,
    pub error: String,
}

/// Refusals of one order that are shown.
const REFUSALS: i64 = 50;

impl Store {
    /// Whether an operator put aside what 1C said by itself of an order that it did not take.
    pub async fn is_put_aside(&self, publication: &str, number: i32) -> Result<bool, Error> {
        let found = self.look_up(async |connection| {
            sqlx::query_scalar!(
                "SELECT put_aside FROM order_receiver WHERE publication = $1 AND order_number = $2",
                publication,
                number,
            )
            .fetch_optional(connection)
            .await
        });
        Ok(found.await?.unwrap_or(false))
    }

    /// Puts that aside, or takes it back. `false`: it is so already, or 1C has taken the order meanwhile.
    pub async fn put_aside(
        &self,
        publication: &str,
        number: i32,
        aside: bool,
        by: Act<'_>,
    ) -> Result<bool, Error> {
        let mut transaction = self.pool().begin().await.map_err(Error::Unavailable)?;
        let done = sqlx::query!(
            "UPDATE order_receiver SET put_aside = $3
             WHERE publication = $1 AND order_number = $2 AND error IS NOT NULL AND put_aside <> $3",
            publication,
            number,
            aside,
        )
        .execute(&mut *transaction);
        let is_new = self.answer(done).await?.rows_affected() > 0;
        if is_new {
            let kind = if aside { "put_aside" } else { "put_back" };
            let details = serde_json::json!({});
            let noted = by.note(&mut transaction, publication, kind, Some(number), &details);
            self.answer(noted).await?;
        }
        transaction.commit().await.map_err(Error::of_statement)?;
        Ok(is_new)
    }

    /// How far an order is with each target that something was ever to be sent to.
    pub async fn order_at_targets(
        &self,
        publication: &str,
        number: i32,
    ) -> Result<Vec<OrderAtTarget>, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                OrderAtTarget,
                r#"SELECT t.name AS target, f.sender_position AS "by_sender?", f.operator_position AS "by_operator?",
                          f.back_office_position AS "by_back_office?",
                          (f.order_number IS NOT NULL AND f.position IS NULL) AS "is_unplaced!",
                          f.changed_by AS "changed_by?", t.position, t.paused, t.failing_since, t.error,
                          d.order_number IS NOT NULL AS "is_parked!", d.refusals AS "refusals?", d.next_try_at AS "next_try_at?", d.error AS "refused?",
                          coalesce(d.withheld, false) AS "withheld!"
                   FROM target t
                   LEFT JOIN LATERAL (
                       SELECT * FROM feed f WHERE f.publication = $1 AND f.order_number = $2 OFFSET 0
                   ) f ON true
                   LEFT JOIN LATERAL (
                       SELECT * FROM target_delivery d
                       WHERE d.publication = $1 AND d.target = t.name AND d.order_number = $2 OFFSET 0
                   ) d ON true
                   WHERE t.publication = $1
                   ORDER BY t.name"#,
                publication,
                number,
            )
            .fetch_all(connection)
            .await
        })
        .await
    }

    /// What 1C and other targets said when they did not take the order, the oldest of the newest first.
    pub async fn order_refusals(
        &self,
        publication: &str,
        number: i32,
    ) -> Result<Vec<Refusal>, Error> {
        let found = self.look_up(async |connection| {
            sqlx::query_as!(
                Refusal,
                r#"SELECT refused_at, nullif(target, '') AS target, error FROM order_refusal
                   WHERE publication = $1 AND order_number = $2 ORDER BY refused_at DESC LIMIT $3"#,
                publication,
                number,
                REFUSALS,
            )
            .fetch_all(connection)
            .await
        });
        let mut found = found.await?;
        found.reverse();
        Ok(found)
    }

    /// Keeps what an operator corrected of an order before it was taken, if that request made it: with its first version, which is no
    /// change of a stored order. Of one that was there before, the change itself tells.
    pub async fn note_correction(
        &self,
        publication: &str,
        number: i32,
        request_id: &str,
        login: &str,
        changes: &Value,
    ) -> Result<(), Error> {
        if changes.as_object().is_none_or(serde_json::Map::is_empty) {
            return Ok(());
        }
        let mut connection = self.connection().await?;
        let noted = sqlx::query!(
            "INSERT INTO journal_change (publication, order_number, version, made_at, login, changes)
             SELECT o.publication, o.number, 1, now(), $4, $5
             FROM orders o JOIN journal_batch b ON b.publication = o.publication AND b.batch = o.made_by
             WHERE o.publication = $1 AND o.number = $2 AND b.request_id = $3
             ON CONFLICT (publication, order_number, version) DO NOTHING",
            publication,
            number,
            request_id,
            login,
            changes,
        )
        .execute(&mut *connection);
        let noted = self.in_time(noted).await;
        connection.done(noted)?;
        Ok(())
    }

    /// What operators did with an order, the oldest first.
    pub async fn operator_actions_of(
        &self,
        publication: &str,
        number: i32,
    ) -> Result<Vec<ActionRow>, Error> {
        let mut connection = self.connection().await?;
        let found = sqlx::query_as!(
            ActionRow,
            "SELECT action, made_at, login, kind, order_number, details FROM operator_action
             WHERE publication = $1 AND order_number = $2 ORDER BY action",
            publication,
            number,
        )
        .fetch_all(&mut *connection);
        let found = self.in_time(found).await;
        connection.done(found)
    }
}
