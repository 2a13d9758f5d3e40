//! The journal is kept for so many days of each kind (`[journal]`), the operators' sessions until they are over. What is older is
//! removed in small steps, beside the orders: no statement of it holds many rows, and any number of instances may do it at once.
//! Kept orders that settled themselves are marked as such by the way.

use std::{convert::Infallible, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{sync::watch, time::sleep};
use uuid::Uuid;

use crate::{
    config::{Config, Journal},
    store::{
        Error, Store,
        journal::remove::{BatchCursor, KeptCursor},
    },
};

const STEP: i64 = 1_000;
/// Between two steps, so that orders have the disk to themselves most of the time.
const PAUSE: Duration = Duration::from_millis(100);
const ROUND: Duration = Duration::from_hours(1);

/// Removes what is too old, for as long as the service runs.
pub async fn keep(store: Store, settings: watch::Receiver<Arc<Config>>) -> Infallible {
    loop {
        let config = Arc::clone(&settings.borrow());
        for publication in &config.publications {
            if let Err(error) = round(&store, &publication.name, &config.journal).await {
                // The next round takes up where this one ended.
                tracing::warn!(
                    publication = publication.name,
                    error = %error.in_full(),
                    "the journal could not be cleared up"
                );
            }
            // Ten thousand publications are sixty thousand statements.
            sleep(PAUSE).await;
        }
        if let Err(error) = store.remove_sessions().await {
            tracing::warn!(error = %error.in_full(), "sessions that are over could not be removed");
        }
        sleep(ROUND).await;
    }
}

/// Removes what is too old of a publication. If a step fails, those before it are done.
pub async fn round(store: &Store, publication: &str, settings: &Journal) -> Result<(), Error> {
    // By the database's clock: one of ours that runs ahead must not remove what is fresh.
    let now = store.now().await?;
    let days_ago = |days: u32| (days > 0).then(|| now - TimeDelta::days(days.into()));
    if let Some(before) = days_ago(settings.keep_changes) {
        while store.remove_changes(publication, before, STEP).await? > 0 {
            sleep(PAUSE).await;
        }
        while store.remove_refusals(publication, before, STEP).await? > 0 {
            sleep(PAUSE).await;
        }
        while store.remove_actions(publication, before, STEP).await? > 0 {
            sleep(PAUSE).await;
        }
    }
    let mut behind = (Uuid::nil(), -1);
    while let Some(last) = store.settle_outdated(publication, behind, STEP).await? {
        behind = last;
        sleep(PAUSE).await;
    }
    if let Some(before) = days_ago(settings.keep_rejected) {
        let mut cursor = KeptCursor::START;
        while let Some(last) = store.remove_kept(publication, before, cursor, STEP).await? {
            cursor = last;
            sleep(PAUSE).await;
        }
    }
    if let Some(before) = days_ago(settings.keep_batches) {
        while store.remove_attempts(publication, before, STEP).await? > 0 {
            sleep(PAUSE).await;
        }
    }
    // After the kept orders: a batch stays as long as one of its orders does.
    if let Some(before) = days_ago(settings.keep_batches) {
        let mut cursor = BatchCursor::START;
        while let Some(last) = store
            .remove_batches(publication, before, cursor, STEP)
            .await?
        {
            cursor = last;
            sleep(PAUSE).await;
        }
    }
    Ok(())
}
