//! A connection broke in the commit: did the batch land (contract §1)?

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, Store};

impl Store {
    /// Settles the outcome of a batch whose writing was cut off. `true`: it is stored. `false`: it is not, and never
    /// will be, for its place in the journal is taken now.
    ///
    /// While the cut-off statement still runs in its orphaned backend, our row waits behind its row; afterwards one of
    /// the two is refused. Either way the answer is final. Our row need not wait for the disk, which may be what the other
    /// waits for: whatever makes it forgotten ends the other's backend, too.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Unsure`] when that cannot be asked now; ask again.
    pub async fn settle(
        &self,
        publication: &str,
        batch: Uuid,
        received_at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let mut connection = self.connection().await?;
        let barred = sqlx::query!(
            "WITH asynchronous AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
             INSERT INTO journal_batch (publication, batch, received_at, stored_at, deadline, request_id, orders,
                                        accepted, rejected, updated_rows, changed_rows, abandoned)
             SELECT $1, $2::uuid, $3::timestamptz, now(), now(), '', 0, 0, 0, 0, 0, true FROM asynchronous",
            publication,
            batch,
            received_at,
        )
        .execute(&mut *connection);
        let barred = self.in_time(barred).await;
        let taken = barred.as_ref().is_err_and(|error| {
            error
                .as_database_error()
                .is_some_and(|error| error.constraint() == Some("journal_batch_pkey"))
        });
        if !taken {
            return self.done(connection, barred).map(|_bar| false);
        }
        // Our own bar may have landed on an earlier try whose answer got lost too: the row tells whose it is.
        let abandoned = sqlx::query_scalar!(
            "SELECT abandoned FROM journal_batch WHERE publication = $1 AND batch = $2",
            publication,
            batch,
        )
        .fetch_one(&mut *connection);
        let abandoned = self.in_time(abandoned).await;
        self.done(connection, abandoned).map(|abandoned| !abandoned)
    }
}
