//! What the journal has kept today: bytes, against the day's budget, and texts, against repetition.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use chrono::{NaiveDate, NaiveTime, Utc};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::store::{Store, Write};

/// How long we go by our own count of a day's bytes. Other instances write, too.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How many texts of orders with remarks are remembered; those that did not come for longest are forgotten.
const REMEMBERED: usize = 20_000;

#[derive(Debug)]
pub struct KeptToday {
    bytes_per_day: usize,
    days: Mutex<HashMap<String, Day>>,
    /// Texts of orders with remarks. Sites send an unchanged order again and again: each instance keeps it once a day, so
    /// that it does not use up what others need.
    texts: Cache<u64, ()>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Day {
    date: NaiveDate,
    bytes: usize,
    asked_at: Instant,
}

impl KeptToday {
    pub fn new(bytes_per_day: usize) -> Self {
        Self {
            bytes_per_day,
            days: Mutex::default(),
            texts: Cache::new(REMEMBERED),
            hasher: RandomState::new(),
        }
    }

    pub async fn bytes_left(&self, store: &Store, publication: &str) -> usize {
        let date = Utc::now().date_naive();
        let known = self
            .days
            .lock()
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
        let mut days = self.days.lock();
        let day = days.entry(publication.to_owned()).or_insert(Day {
            date,
            bytes: 0,
            asked_at: Instant::now(),
        });
        day.asked_at = Instant::now();
        match asked {
            Ok(bytes) => (day.date, day.bytes) = (date, bytes),
            Err(error) => {
                // What is written next will say what is wrong with the database; until then our own count has to do.
                tracing::debug!(error = %error.in_full(), "the journal's bytes are not known");
                if day.date != date {
                    (day.date, day.bytes) = (date, 0);
                }
            }
        }
        day.bytes
    }

    /// Whether this text of an order with remarks was kept.
    pub fn has(&self, publication: &str, body: &str) -> bool {
        self.texts.get(&self.key(publication, body)).is_some()
    }

    /// Notes what was written.
    pub fn add(&self, publication: &str, write: &Write<'_>) {
        let bytes: usize = write.batches.iter().map(|batch| batch.kept_bytes).sum();
        if bytes > 0
            && let Some(day) = self.days.lock().get_mut(publication)
        {
            day.bytes = day.bytes.saturating_add(bytes);
        }
        for row in write.kept.iter().filter(|row| row.warnings.is_some()) {
            self.texts.insert(self.key(publication, row.body), ());
        }
    }

    fn key(&self, publication: &str, body: &str) -> u64 {
        let date = Utc::now().date_naive();
        self.hasher.hash_one((publication, date, body))
    }
}
