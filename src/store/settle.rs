//! A connection broke in the commit: did the batch land (contract §1)?

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, Store, error::constraint};

/// Whether the batch's place in the journal is taken.
fn is_taken(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| constraint(error) == "journal_batch_pkey")
}

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
        let location = self.locate(publication).await?;
        let mut connection = location.connection().await?;
        let bar = sqlx::query!(
            "WITH asynchronous AS MATERIALIZED (SELECT /* hold the shard */ set_config('synchronous_commit', 'off', true))
             INSERT INTO journal_batch (publication, batch, received_at, stored_at, deadline, request_id, orders,
                                        accepted, rejected, updated_rows, changed_rows, abandoned)
             SELECT $1, $2::uuid, $3::timestamptz, now(), now(), '', 0, 0, 0, 0, 0, true FROM asynchronous",
            publication,
            batch,
            received_at,
        );
        let barred = self
            .in_time(location.execute(&mut connection, bar, false))
            .await;
        let is_there = barred.as_ref().is_err_and(is_taken);
        if !is_there {
            return self
                .found(publication, connection.done(barred))
                .map(|()| false);
        }
        // Our own bar may have landed on an earlier try whose answer got lost too: the row tells whose it is.
        let text = "SELECT abandoned FROM journal_batch WHERE publication = $1 AND batch = $2";
        let abandoned = sqlx::query_scalar(location.text(text))
            .bind(publication)
            .bind(batch)
            .fetch_one(&mut *connection);
        let abandoned = self.in_time(abandoned).await;
        connection.done(abandoned).map(|abandoned: bool| !abandoned)
    }
}
