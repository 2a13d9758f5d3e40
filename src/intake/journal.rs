//! What of a batch goes into the journal, within a publication's budget for the day (contract §7): strangers' rubbish must
//! not take the disk from orders.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{NaiveDate, NaiveTime, Utc};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::{Job, accepted};
use crate::{
    order::{
        decide::{self, Verdict},
        fault::{FaultText, Language},
        reply,
    },
    store::{BatchRow, RejectedRow, Store},
};

/// A row costs the database so much besides its texts, its entries in the indexes included.
const ROW_BYTES: usize = 256;
/// After so long the database is asked anew what a day has taken: other instances write, too.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What each publication's day has taken so far.
#[derive(Debug)]
pub(super) struct Budget {
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
    pub(super) fn new(bytes_per_day: usize) -> Self {
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
    pub(super) async fn left(&self, store: &Store, publication: &str) -> usize {
        let date = Utc::now().date_naive();
        let known = self
            .days()
            .get(publication)
            .filter(|day| day.date == date && day.asked_at.elapsed() < ASK_AGAIN)
            .map(|day| day.bytes);
        let taken = match known {
            Some(bytes) => bytes,
            None => self.ask(store, publication, date).await,
        };
        self.bytes_per_day.saturating_sub(taken)
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

    /// So much was written.
    pub(super) fn took(&self, publication: &str, bytes: usize) {
        if let Some(day) = self.days().get_mut(publication) {
            day.bytes = day.bytes.saturating_add(bytes);
        }
    }
}

/// What goes into the journal of some batches.
#[derive(Debug, Default)]
pub(super) struct Entries<'j> {
    /// A line for each batch, but for those of which nothing was accepted once the budget is used up.
    pub batches: Vec<BatchRow>,
    /// Rejected orders with their bodies, as far as the budget goes.
    pub rejected: Vec<RejectedRow<'j>>,
    /// Rejected orders that found no room.
    pub not_kept: usize,
}

impl<'j> Entries<'j> {
    /// Adds a batch, and takes what it needs from what is `left` of the budget.
    pub(super) fn add(
        &mut self,
        batch: Uuid,
        job: &'j Job,
        verdicts: &[Verdict],
        dry_run: bool,
        left: &mut usize,
    ) {
        let accepted = accepted(verdicts);
        let mut kept_bytes = 0;
        let mut take = |bytes: usize| {
            let fits = bytes <= *left;
            if fits {
                *left -= bytes;
                kept_bytes += bytes;
            }
            fits
        };
        // A batch that stores something has its line in any case: it is the receipt for what it stores.
        if (accepted == 0 || dry_run) && !take(ROW_BYTES) {
            self.not_kept += verdicts.len() - accepted;
            return;
        }
        if accepted < verdicts.len() && !dry_run {
            self.add_rejected(batch, job, verdicts, &mut take);
        }
        self.batches.push(BatchRow {
            batch,
            received_at: job.received_at,
            request_id: job.request_id.clone(),
            login: job.login.clone(),
            orders: verdicts.len(),
            accepted,
            rejected: verdicts.len() - accepted,
            kept_bytes,
            dry_run,
        });
    }

    fn add_rejected(
        &mut self,
        batch: Uuid,
        job: &'j Job,
        verdicts: &[Verdict],
        take: &mut impl FnMut(usize) -> bool,
    ) {
        let keys = reply::keys(&job.elements);
        // Elements without an id of their own, by their text.
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (position, entry) in decide::entries(&job.elements).into_iter().enumerate() {
            let Verdict::Rejected(faults) = &verdicts[entry] else {
                continue;
            };
            let body = &job.body[job.places[position].clone()];
            let has_id = job.elements[position].id.is_some();
            if !has_id && let Some(first) = seen.get(body) {
                self.rejected[*first].repeated += 1;
                continue;
            }
            let faults: Vec<_> = faults
                .iter()
                .map(|fault| FaultText::brief(fault, Language::Ru))
                .collect();
            // Texts and nothing else: they cannot fail to become JSON.
            let faults = to_raw_value(&faults).unwrap_or_else(|_| RawValue::NULL.to_owned());
            let bytes = ROW_BYTES + body.len() + keys[entry].len() + faults.get().len();
            if !take(bytes) {
                self.not_kept += 1;
                continue;
            }
            if !has_id {
                seen.insert(body, self.rejected.len());
            }
            self.rejected.push(RejectedRow {
                batch,
                position,
                key: keys[entry].clone(),
                body,
                faults,
                repeated: 0,
            });
        }
    }
}
