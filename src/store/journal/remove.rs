//! Keeps the journal from growing for ever. Whatever fails here may be tried again.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::{Error, Store};

/// Where one step of removing batches ended, for the next.
#[derive(Debug, Clone, Copy)]
pub struct BatchCursor {
    received_at: DateTime<Utc>,
    batch: Uuid,
}

impl BatchCursor {
    pub const START: Self = Self {
        received_at: DateTime::UNIX_EPOCH,
        batch: Uuid::nil(),
    };
}

/// The same of the kept orders.
#[derive(Debug, Clone, Copy)]
pub struct KeptCursor {
    batch: Uuid,
    position: i32,
}

impl KeptCursor {
    pub const START: Self = Self {
        batch: Uuid::nil(),
        position: -1,
    };
}

impl Store {
    /// Removes changes from before then, `step` at most; says how many.
    pub async fn remove_changes(
        &self,
        publication: &str,
        before: DateTime<Utc>,
        step: i64,
    ) -> Result<u64, Error> {
        let removed = sqlx::query!(
            "DELETE FROM journal_change
             WHERE publication = $1 AND (order_number, version) IN (
                 SELECT order_number, version FROM journal_change
                 WHERE publication = $1 AND made_at < $2 ORDER BY made_at LIMIT $3)",
            publication,
            before,
            step,
        )
        .execute(self.pool());
        let removed = self.answer(removed).await?;
        Ok(removed.rows_affected())
    }

    /// Removes what 1C and targets refused before then, `step` at most; says how many.
    pub async fn remove_refusals(
        &self,
        publication: &str,
        before: DateTime<Utc>,
        step: i64,
    ) -> Result<u64, Error> {
        let removed = sqlx::query!(
            "DELETE FROM order_refusal
             WHERE publication = $1 AND (order_number, refused_at, target) IN (
                 SELECT order_number, refused_at, target FROM order_refusal
                 WHERE publication = $1 AND refused_at < $2 ORDER BY refused_at LIMIT $3)",
            publication,
            before,
            step,
        )
        .execute(self.pool());
        let removed = self.answer(removed).await?;
        Ok(removed.rows_affected())
    }

    /// Removes kept orders from before then. A batch's id tells when it was made (UUID v7); of one whose maker had a
    /// wrong clock, `stored_at` tells better. Looks at `step` of them behind `after`; says where it ended, and `None` at the
    /// end.
    pub async fn remove_kept(
        &self,
        publication: &str,
        before: DateTime<Utc>,
        after: KeptCursor,
        step: i64,
    ) -> Result<Option<KeptCursor>, Error> {
        let last = sqlx::query_as!(
            KeptCursor,
            "WITH old AS MATERIALIZED (
                 SELECT batch, position FROM journal_rejected
                 WHERE publication = $1 AND batch < $2 AND (batch, position) > ($3::uuid, $4::int)
                 ORDER BY batch, position LIMIT $5
             ), removed AS (
                 DELETE FROM journal_rejected r
                 WHERE publication = $1 AND (batch, position) IN (SELECT batch, position FROM old)
                   -- By the database's clock, too: an instance may have had a wrong one.
                   AND (SELECT b.stored_at FROM journal_batch b
                        WHERE b.publication = $1 AND b.batch = r.batch) < $6
             )
             SELECT batch, position FROM old ORDER BY batch DESC, position DESC LIMIT 1",
            publication,
            first_id_at(before),
            after.batch,
            after.position,
            step,
            before,
        )
        .fetch_optional(self.pool());
        self.answer(last).await
    }

    /// Removes batches from before then, but for those of which an order is kept. Looks at `step` of them behind
    /// `after`; says where it ended, and `None` at the end.
    pub async fn remove_batches(
        &self,
        publication: &str,
        before: DateTime<Utc>,
        after: BatchCursor,
        step: i64,
    ) -> Result<Option<BatchCursor>, Error> {
        let last = sqlx::query_as!(
            BatchCursor,
            "WITH old AS MATERIALIZED (
                 SELECT received_at, batch FROM journal_batch
                 WHERE publication = $1 AND received_at < $2 AND (received_at, batch) > ($3, $4::uuid)
                 ORDER BY received_at, batch LIMIT $5
             ), removed AS (
                 DELETE FROM journal_batch b
                 WHERE publication = $1 AND batch IN (SELECT batch FROM old) AND stored_at < $2
                   AND NOT EXISTS (SELECT FROM journal_rejected r WHERE r.publication = $1 AND r.batch = b.batch)
             )
             SELECT received_at, batch FROM old ORDER BY received_at DESC, batch DESC LIMIT 1",
            publication,
            before,
            after.received_at,
            after.batch,
            step,
        )
        .fetch_optional(self.pool());
        self.answer(last).await
    }
}

/// Batches made at that moment or later have no lower id than this.
pub(in crate::store) fn first_id_at(moment: DateTime<Utc>) -> Uuid {
    let milliseconds = u64::try_from(moment.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &[0; 10]).into_uuid()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_batchs_id_tells_on_which_side_of_a_moment_it_was_made() {
        let now = Utc::now();
        let id = Uuid::now_v7();
        assert!(first_id_at(now - TimeDelta::seconds(1)) < id);
        assert!(first_id_at(now + TimeDelta::seconds(1)) > id);
        assert!(first_id_at(DateTime::<Utc>::MIN_UTC) < id);
    }
}
