//! The call that a request id belongs to. No index tells: ids are the senders' own, and each would be one more thing to write for a
//! call. But those that we make tell when.

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::{Error, Store, journal::JournalBatch};

/// Calls among which it is looked for.
const CALLS_LOOKED_AT: i64 = 1_500;

impl Store {
    /// The call with that request id: the next ones from `since` on, where that is known, and the newest ones are looked at.
    pub async fn call_of_request(
        &self,
        publication: &str,
        request_id: &str,
        since: Option<DateTime<Utc>>,
    ) -> Result<Option<JournalBatch>, Error> {
        self.look_up(async |connection| {
            // Another instance's clock may be a little behind.
            if let Some(since) = since {
                let found = sqlx::query_as!(
                    JournalBatch,
                    "SELECT batch, received_at, request_id, login, orders, accepted, rejected, with_remarks, dry_run FROM (
                         SELECT * FROM journal_batch WHERE publication = $1 AND received_at >= $3
                         ORDER BY received_at LIMIT $4
                     ) b
                     WHERE request_id = $2 AND NOT abandoned LIMIT 1",
                    publication,
                    request_id,
                    since - TimeDelta::seconds(1),
                    CALLS_LOOKED_AT,
                )
                .fetch_optional(&mut *connection)
                .await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            sqlx::query_as!(
                JournalBatch,
                "SELECT batch, received_at, request_id, login, orders, accepted, rejected, with_remarks, dry_run FROM (
                     SELECT * FROM journal_batch WHERE publication = $1 ORDER BY received_at DESC LIMIT $3
                 ) b
                 WHERE request_id = $2 AND NOT abandoned LIMIT 1",
                publication,
                request_id,
                CALLS_LOOKED_AT,
            )
            .fetch_optional(connection)
            .await
        })
        .await
    }
}
