//! What of a batch goes into the journal, within a publication's budget for the day (contract §7): strangers' rubbish must
//! not take the disk from orders.

use std::{
    cell::OnceCell,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{NaiveDate, NaiveTime, Utc};
use quick_cache::sync::Cache;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::{Job, accepted};
use crate::{
    order::{
        decide::{self, Accepted, Decision, Record, Verdict},
        fault::{FaultText, Language, WarningText},
        model::{Client, Order},
        reply,
    },
    store::{BatchRow, KeptRow, Store},
};

/// A row costs the database so much besides its texts, its entries in the indexes included.
const ROW_BYTES: usize = 256;
/// After so long the database is asked anew what a day has taken: other instances write, too.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// So many texts of orders with remarks are remembered; those that did not come for longest make way.
const REMEMBERED: usize = 20_000;

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

/// Texts of orders with remarks that the day has kept already. Sites send an unchanged order again and again; each of these
/// is kept once a day by each instance, so that they do not use up what others need.
#[derive(Debug)]
pub(super) struct KeptToday {
    texts: Cache<u64, ()>,
    hasher: RandomState,
}

impl KeptToday {
    pub(super) fn new() -> Self {
        Self {
            texts: Cache::new(REMEMBERED),
            hasher: RandomState::new(),
        }
    }

    fn key(&self, publication: &str, body: &str) -> u64 {
        self.hasher
            .hash_one((publication, Utc::now().date_naive(), body))
    }

    fn has(&self, publication: &str, body: &str) -> bool {
        self.texts.get(&self.key(publication, body)).is_some()
    }

    /// This was written.
    pub(super) fn add(&self, publication: &str, row: &KeptRow<'_>) {
        if row.warnings.is_some() {
            self.texts.insert(self.key(publication, row.body), ());
        }
    }
}

/// What the journal needs to know of the records besides the verdicts. Made when the first order is kept.
pub(super) struct Records<'d> {
    decision: &'d Decision<'d>,
    kept_today: &'d KeptToday,
    versions: OnceCell<Versions<'d>>,
}

/// Those that the decision leaves behind.
struct Versions<'d> {
    /// By the sender's id: the order's, and whose it is.
    orders: HashMap<&'d str, (i32, i32)>,
    /// By our number.
    clients: HashMap<i32, i32>,
}

impl<'d> Records<'d> {
    pub(super) fn of(decision: &'d Decision<'d>, kept_today: &'d KeptToday) -> Self {
        Self {
            decision,
            kept_today,
            versions: OnceCell::new(),
        }
    }

    /// Of the order with that id, and of its client.
    fn versions(&self, id: Option<&str>) -> (Option<i32>, Option<i32>) {
        let versions = self.versions.get_or_init(|| {
            let Decision {
                orders, clients, ..
            } = self.decision;
            let of_order = |record: &'d Record<'d, Order>| {
                let order = &record.after;
                let version = record.version(|order| order.version);
                (order.sender_id.as_str(), (version, order.client_number))
            };
            let of_client = |record: &Record<'_, Client>| {
                let version = record.version(|client| client.version);
                (record.after.number, version)
            };
            Versions {
                orders: orders.iter().map(of_order).collect(),
                clients: clients.iter().map(of_client).collect(),
            }
        });
        let order = id.and_then(|id| versions.orders.get(id));
        let client = order.and_then(|(_, client)| versions.clients.get(client));
        (order.map(|(version, _)| *version), client.copied())
    }

    /// Whether the journal has it from today, and nothing was stored since.
    fn has(&self, job: &Job, accepted: &Accepted, body: &str) -> bool {
        self.decision.orders[accepted.order].is_unchanged()
            && self.kept_today.has(&job.publication.name, body)
    }
}

/// What goes into the journal of some batches.
#[derive(Debug, Default)]
pub(super) struct Entries<'j> {
    /// A line for each batch, but for those of which nothing was accepted once the budget is used up.
    pub batches: Vec<BatchRow>,
    /// Orders of which something was not taken, with their bodies, as far as the budget goes.
    pub kept: Vec<KeptRow<'j>>,
    /// Such orders that found no room.
    pub not_kept: usize,
}

impl<'j> Entries<'j> {
    /// Adds a batch, and takes what it needs from what is `left` of the budget. `None` for `records`: a dry run, of which
    /// no order is kept.
    pub(super) fn add(
        &mut self,
        batch: Uuid,
        job: &'j Job,
        verdicts: &[Verdict],
        records: Option<&Records<'_>>,
        left: &mut usize,
    ) {
        let accepted = accepted(verdicts);
        let with_remarks = verdicts.iter().filter(|v| v.has_remarks()).count();
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
        if (accepted == 0 || records.is_none()) && !take(ROW_BYTES) {
            self.not_kept += verdicts.len() - accepted;
            return;
        }
        if let Some(records) = records {
            // The rejected ones first: of them nothing is stored.
            if accepted < verdicts.len() {
                let is_rejected = |verdict: &Verdict| matches!(verdict, Verdict::Rejected(_));
                self.keep(batch, job, verdicts, records, is_rejected, &mut take);
            }
            if with_remarks > 0 {
                self.keep(
                    batch,
                    job,
                    verdicts,
                    records,
                    Verdict::has_remarks,
                    &mut take,
                );
            }
        }
        self.batches.push(BatchRow {
            batch,
            received_at: job.received_at,
            request_id: job.request_id.clone(),
            login: job.login.clone(),
            orders: verdicts.len(),
            accepted,
            rejected: verdicts.len() - accepted,
            with_remarks,
            kept_bytes,
            dry_run: records.is_none(),
        });
    }

    /// Keeps the orders of these verdicts.
    fn keep(
        &mut self,
        batch: Uuid,
        job: &'j Job,
        verdicts: &[Verdict],
        records: &Records<'_>,
        is_one: impl Fn(&Verdict) -> bool,
        take: &mut impl FnMut(usize) -> bool,
    ) {
        let keys = reply::keys(&job.elements);
        // Elements without an id of their own, by their text.
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (position, entry) in decide::entries(&job.elements).into_iter().enumerate() {
            let verdict = &verdicts[entry];
            if !is_one(verdict) {
                continue;
            }
            let body = &job.body[job.places[position].clone()];
            let id = job.elements[position].id.as_deref();
            if id.is_none()
                && let Some(first) = seen.get(body)
            {
                self.kept[*first].repeated += 1;
                continue;
            }
            let (faults, warnings) = match verdict {
                Verdict::Accepted(accepted) if records.has(job, accepted, body) => continue,
                Verdict::Accepted(accepted) => {
                    let warnings = accepted.warnings.iter();
                    let texts = warnings.map(|w| WarningText(w, Language::Ru));
                    (list(std::iter::empty::<()>()), Some(list(texts)))
                }
                Verdict::Rejected(faults) => {
                    let faults = faults.iter();
                    let texts = faults.map(|fault| FaultText::brief(fault, Language::Ru));
                    (list(texts), None)
                }
            };
            let key = id.unwrap_or(&keys[entry]);
            let texts = faults.get().len() + warnings.as_ref().map_or(0, |w| w.get().len());
            if !take(ROW_BYTES + body.len() + key.len() + texts) {
                self.not_kept += 1;
                continue;
            }
            if id.is_none() {
                seen.insert(body, self.kept.len());
            }
            let (order_version, client_version) = records.versions(id);
            self.kept.push(KeptRow {
                batch,
                position,
                key: key.to_owned(),
                body,
                faults,
                warnings,
                order_version,
                client_version,
                repeated: 0,
            });
        }
    }
}

/// A list as JSON.
fn list(texts: impl Iterator<Item: Serialize>) -> Box<RawValue> {
    // Texts and nothing else: they cannot fail to become JSON.
    to_raw_value(&texts.collect::<Vec<_>>()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
