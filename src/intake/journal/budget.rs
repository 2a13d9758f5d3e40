//! How much a publication's day may still keep, and what it has kept already.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{NaiveDate, NaiveTime, Utc};
use quick_cache::sync::Cache;

use crate::store::{KeptRow, Store};

/// How long we go by our own count of a day's bytes. Other instances write, too.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How many texts of orders with remarks are remembered; those that did not come for longest are forgotten.
const REMEMBERED: usize = 20_000;

/// What each publication's day has used so far.
#[derive(Debug)]
pub struct Budget {
    bytes_per_day: usize,
    days: Mutex<HashMap<String, Day>>,
}

#[derive(Debug)]
struct Day {
    date: NaiveDate,
    bytes: usize,
    asked_at: Instant,
}

impl Budget {
    pub fn new(bytes_per_day: usize) -> Self {
        Self {
            bytes_per_day,
            days: Mutex::default(),
        }
    }

    fn days(&self) -> MutexGuard<'_, HashMap<String, Day>> {
        // Nothing under this lock can leave a day half changed.
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes the publication's day has left.
    pub async fn left(&self, store: &Store, publication: &str) -> usize {
        let date = Utc::now().date_naive();
        let known = self
            .days()
            .get(publication)
            .filter(|day| day.date == date && day.asked_at.elapsed() < ASK_AGAIN)
            .map(|day| day.bytes);
        let used = match known {
            Some(bytes) => bytes,
            None => self.ask(store, publication, date).await,
        };
        self.bytes_per_day.saturating_sub(used)
    }

    async fn ask(&self, store: &Store, publication: &str, date: NaiveDate) -> usize {
        let midnight = date.and_time(NaiveTime::MIN).and_utc();
        let asked = store.kept_bytes(publication, midnight).await;
        let mut days = self.days();
        let day = days.entry(publication.to_owned()).or_insert(Day {
            date,
            bytes: 0,
            asked_at: Instant::now(),
        });
        day.asked_at = Instant::now();
        match asked {
            Ok(bytes) => (day.date, day.bytes) = (date, bytes),
            Err(error) => {
                // What is written next will say what is wrong with the database; the budget goes by what we know.
                tracing::debug!(error = %error.in_full(), "the journal's bytes are not known");
                if day.date != date {
                    (day.date, day.bytes) = (date, 0);
                }
            }
        }
        day.bytes
    }

    pub fn used(&self, publication: &str, bytes: usize) {
        if let Some(day) = self.days().get_mut(publication) {
            day.bytes = day.bytes.saturating_add(bytes);
        }
    }
}

/// Texts of orders with remarks that were kept today. Sites send an unchanged order again and again: each instance keeps it
/// once a day, so that it does not use up what others need.
#[derive(Debug)]
pub struct KeptToday {
    texts: Cache<u64, ()>,
    hasher: RandomState,
}

impl KeptToday {
    pub fn new() -> Self {
        Self {
            texts: Cache::new(REMEMBERED),
            hasher: RandomState::new(),
        }
    }

    fn key(&self, publication: &str, body: &str) -> u64 {
        self.hasher
            .hash_one((publication, Utc::now().date_naive(), body))
    }

    pub fn has(&self, publication: &str, body: &str) -> bool {
        self.texts.get(&self.key(publication, body)).is_some()
    }

    pub fn add(&self, publication: &str, row: &KeptRow<'_>) {
        if row.warnings.is_some() {
            self.texts.insert(self.key(publication, row.body), ());
        }
    }
}
