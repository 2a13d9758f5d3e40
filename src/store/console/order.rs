//! What the page of one order shows besides the order itself.

use chrono::{DateTime, Utc};

use super::ActionRow;
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
}

impl Store {
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
                          d.order_number IS NOT NULL AS "is_parked!", d.refusals AS "refusals?", d.next_try_at AS "next_try_at?", d.error AS "refused?"
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
