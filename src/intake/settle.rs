//! A transaction whose connection broke before its outcome was known: the journal says whether it is stored.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::store::{Error, Store};

/// Between two questions to a database that is away.
const PAUSE: Duration = Duration::from_millis(100);
/// The same once nobody waits for the answer.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// A transaction of which nobody knows yet whether it is stored.
#[derive(Debug)]
pub struct Open {
    publication: String,
    batch: Uuid,
    received_at: DateTime<Utc>,
}

impl Open {
    /// `batch` is any of the transaction's batches in the journal.
    pub fn new(publication: &str, batch: Uuid, received_at: DateTime<Utc>) -> Self {
        Self {
            publication: publication.to_owned(),
            batch,
            received_at,
        }
    }

    /// Asks the journal whether it is stored, until it answers or time is up. If it is not stored, it never will be.
    pub async fn settle_until(self, store: &Store, until: Instant) -> Result<bool, Self> {
        while Instant::now() < until {
            if let Ok(stored) = self.ask(store).await {
                return Ok(stored);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(self)
    }

    /// Asks until the journal answers. A question may have to wait for the statement that was cut off, so it takes a permit of
    /// those who wait for locks.
    pub async fn settle(&self, store: &Store, lock_waiters: &Semaphore) {
        loop {
            let permit = lock_waiters.acquire().await;
            let asked = self.ask(store).await;
            drop(permit);
            if asked.is_ok() {
                return;
            }
            tokio::time::sleep(LONG_PAUSE).await;
        }
    }

    async fn ask(&self, store: &Store) -> Result<bool, Error> {
        let asked = store.settle(&self.publication, self.batch, self.received_at);
        let asked = asked.await;
        match &asked {
            Ok(stored) => {
                tracing::info!(batch = %self.batch, stored, "settled by the journal");
            }
            Err(error) => {
                tracing::debug!(error = %error.in_full(), "the journal cannot be asked yet");
            }
        }
        asked
    }
}
