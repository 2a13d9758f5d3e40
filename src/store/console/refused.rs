//! Orders that a target refused: they are tried again, or dead.

use chrono::{DateTime, Utc};

use crate::store::{Error, Store};

/// An order that a target refused.
#[derive(Debug, Clone)]
pub struct RefusedRow {
    pub order_number: i32,
    pub sender_id: String,
    pub refusals: i32,
    /// `None`: it is dead.
    pub next_try_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
    /// Since when it is not taken.
    pub since: DateTime<Utc>,
}

impl Store {
    /// Orders that a target refused, the highest numbers first: `most` and one more, below that number.
    pub async fn list_refused(
        &self,
        publication: &str,
        target: &str,
        below: Option<i32>,
        most: usize,
    ) -> Result<Vec<RefusedRow>, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                RefusedRow,
                r#"SELECT d.order_number, o.sender_id, d.refusals, d.next_try_at, d.error, d.since
                   FROM (
                       SELECT * FROM target_delivery d
                       WHERE d.publication = $1 AND d.target = $2 AND d.order_number < $3 AND NOT d.withheld
                         AND d.error IS NOT NULL AND (d.next_try_at IS NULL OR d.next_try_at > now())
                       ORDER BY d.order_number DESC LIMIT $4
                   ) d
                   CROSS JOIN LATERAL (
                       SELECT o.sender_id FROM orders o WHERE o.publication = $1 AND o.number = d.order_number OFFSET 0
                   ) o
                   ORDER BY d.order_number DESC"#,
                publication,
                target,
                below.unwrap_or(i32::MAX),
                i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1),
            )
            .fetch_all(connection)
            .await
        })
        .await
    }
}
