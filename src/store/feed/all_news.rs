//! News of all publications, for who looks after many: one ear, however many there are.

use std::{
    collections::BTreeSet,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::store::Store;

/// Which publications had news that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    is_wanted: AtomicBool,
    publications: Mutex<BTreeSet<String>>,
    there_are: Notify,
}

impl Untold {
    pub(super) fn tell(&self, publication: &str) {
        if !self.is_wanted.load(Ordering::Relaxed) {
            return;
        }
        let mut publications = self.publications.lock();
        if !publications.contains(publication) {
            publications.insert(publication.to_owned());
            self.there_are.notify_one();
        }
    }
}

/// Hears of every publication of which this process stores a change. Meant for one listener.
#[derive(Debug)]
pub struct AllNews(Arc<Untold>);

impl AllNews {
    /// Waits until there are news; says of which publications. Dropped while it waits, it loses none.
    pub async fn next(&mut self) -> Vec<String> {
        loop {
            let told = mem::take(&mut *self.0.publications.lock());
            if !told.is_empty() {
                return told.into_iter().collect();
            }
            self.0.there_are.notified().await;
        }
    }
}

impl Store {
    /// From now on, whatever this process stores is told there.
    #[must_use]
    pub fn all_news(&self) -> AllNews {
        let untold = Arc::clone(&self.news.untold);
        untold.is_wanted.store(true, Ordering::Relaxed);
        AllNews(untold)
    }
}
