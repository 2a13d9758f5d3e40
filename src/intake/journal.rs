//! What of a batch goes into the journal, within a publication's budget for the day (contract §7): strangers' rubbish must
//! not take the disk from orders.

use std::{
    cell::OnceCell,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{NaiveDate, NaiveTime, Utc};
use quick_cache::sync::Cache;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::job::{Job, accepted};
use crate::{
    order::{
        decide::{Decision, Outcome, Record, Verdict},
        fault::{FaultText, Language, RemarkText},
        model::{Client, Order},
        reply,
        wire::Element,
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
    pub fn took(&self, publication: &str, bytes: usize) {
        if let Some(day) = self.days().get_mut(publication) {
            day.bytes = day.bytes.saturating_add(bytes);
        }
    }
}

/// Texts of orders with remarks that the day has kept already. Sites send an unchanged order again and again; each of these
/// is kept once a day by each instance, so that they do not use up what others need.
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

    fn has(&self, publication: &str, body: &str) -> bool {
        self.texts.get(&self.key(publication, body)).is_some()
    }

    /// This was written.
    pub fn add(&self, publication: &str, row: &KeptRow<'_>) {
        if row.warnings.is_some() {
            self.texts.insert(self.key(publication, row.body), ());
        }
    }
}

/// What the journal needs to know of the records besides the verdicts. Made when the first order is kept.
pub struct Records<'d> {
    jobs: &'d [Arc<Job>],
    decision: &'d Decision<'d>,
    kept_today: &'d KeptToday,
    versions: OnceCell<Versions<'d>>,
}

/// Where an element stands in its transaction: its batch, and its place there.
type Place = (usize, usize);

/// How the decision leaves an order or a client behind.
struct Left {
    version: i32,
    /// The last element that was accepted and names it.
    last: Option<Place>,
}

impl Left {
    /// The version behind which nothing came, for the journal's row of the element at `place`. Where another element came after
    /// it, 0, which is no record's version: sending the row again would undo what that one did.
    fn version_for(&self, place: Place) -> i32 {
        match self.last {
            Some(last) if last > place => 0,
            _ => self.version,
        }
    }

    fn named_at(&mut self, place: Place) {
        self.last = Some(place);
    }
}

struct Versions<'d> {
    /// By the sender's id; and whose the order is.
    orders: HashMap<&'d str, (Left, i32)>,
    /// By our number.
    clients: HashMap<i32, Left>,
}

impl<'d> Versions<'d> {
    fn of(jobs: &[Arc<Job>], decision: &'d Decision<'d>) -> Self {
        let left = |version| Left {
            version,
            last: None,
        };
        let of_order = |record: &'d Record<'d, Order>| {
            let order = &record.after;
            let version = record.version(|order| order.version);
            let whose = order.client_number;
            (order.sender_id.as_str(), (left(version), whose))
        };
        let of_client = |record: &Record<'_, Client>| {
            let version = record.version(|client| client.version);
            (record.after.number, left(version))
        };
        let mut versions = Self {
            orders: decision.orders.iter().map(of_order).collect(),
            clients: decision.clients.iter().map(of_client).collect(),
        };
        versions.name(jobs, decision);
        versions
    }

    /// Notes which elements name what. Those that were not taken do nothing to it.
    fn name(&mut self, jobs: &[Arc<Job>], decision: &'d Decision<'d>) {
        let mut by_id = HashMap::new();
        let mut by_guest_phone = HashMap::new();
        for Record { after, .. } in &decision.clients {
            by_id.extend(after.sender_id.as_deref().map(|id| (id, after.number)));
            by_guest_phone.extend(after.guest_phone.as_deref().map(|p| (p, after.number)));
        }
        for (at, (job, verdicts)) in jobs.iter().zip(&decision.verdicts).enumerate() {
            for (position, element, _, outcome) in outcomes(job, verdicts) {
                let (Outcome::Taken(_), Some(id)) = (outcome, &element.id) else {
                    continue;
                };
                let Some((order, whose)) = self.orders.get_mut(id.as_str()) else {
                    continue;
                };
                order.named_at((at, position));
                // An order may have been another client's before a later element.
                let key = &element.client;
                let number = |id: &String| by_id.get(id.as_str()).copied();
                let named = match (&key.id, key.external_id, &key.phone) {
                    (Some(id), _, _) => number(id),
                    (None, Some(number), _) => Some(number),
                    (None, None, Some(phone)) => by_guest_phone.get(phone.as_str()).copied(),
                    (None, None, None) => None,
                };
                for client in [Some(*whose), named].into_iter().flatten() {
                    if let Some(client) = self.clients.get_mut(&client) {
                        client.named_at((at, position));
                    }
                }
            }
        }
    }
}

impl<'d> Records<'d> {
    pub fn of(jobs: &'d [Arc<Job>], decision: &'d Decision<'d>, kept_today: &'d KeptToday) -> Self {
        Self {
            jobs,
            decision,
            kept_today,
            versions: OnceCell::new(),
        }
    }

    /// Of the order with that id, and of its client, for the element at `place`.
    fn versions(&self, id: Option<&str>, place: Place) -> (Option<i32>, Option<i32>) {
        let made = || Versions::of(self.jobs, self.decision);
        let versions = self.versions.get_or_init(made);
        let Some((order, whose)) = id.and_then(|id| versions.orders.get(id)) else {
            return (None, None);
        };
        let client = versions.clients.get(whose);
        (
            Some(order.version_for(place)),
            client.map(|client| client.version_for(place)),
        )
    }

    /// Which batch of the transaction it is.
    fn at(&self, job: &Job) -> usize {
        let mut jobs = self.jobs.iter();
        jobs.position(|one| ptr::eq(&raw const **one, job))
            .unwrap_or(0)
    }

    /// Whether the journal has it from today, and nothing was stored since.
    fn has(&self, job: &Job, verdict: &Verdict, body: &str) -> bool {
        let is_unchanged = |order: usize| self.decision.orders[order].is_unchanged();
        verdict.order.is_some_and(is_unchanged) && self.kept_today.has(&job.publication.name, body)
    }
}

/// What the journal's line of a batch takes of the budget by itself. A batch that stores something has its line in any case: it
/// is the receipt for what it stores.
pub fn line_bytes(accepted: usize, dry_run: bool) -> usize {
    if accepted == 0 || dry_run {
        ROW_BYTES
    } else {
        0
    }
}

/// What goes into the journal of some batches.
#[derive(Debug, Default)]
pub struct Entries<'j> {
    /// A line for each batch, but for those of which nothing was accepted once the budget is used up.
    pub batches: Vec<BatchRow>,
    /// Orders of which something was not taken, with their bodies, as far as the budget goes.
    pub kept: Vec<KeptRow<'j>>,
    /// Such orders that found no room.
    pub not_kept: usize,
}

/// A batch of which orders are kept.
struct Keeping<'j, 'k, 'd> {
    batch: Uuid,
    job: &'j Job,
    /// Which batch of the transaction it is.
    at: usize,
    verdicts: &'k [Verdict],
    /// The key of each entry.
    keys: Vec<String>,
    records: &'k Records<'d>,
}

/// The elements of a batch with their positions, their entries' verdicts, and what became of them.
fn outcomes<'o>(
    job: &'o Job,
    verdicts: &'o [Verdict],
) -> impl Iterator<Item = (usize, &'o Element, &'o Verdict, &'o Outcome)> {
    let mut next = vec![0; verdicts.len()];
    let elements = job.elements.iter().enumerate();
    elements.filter_map(move |(position, element)| {
        let verdict = &verdicts[element.entry];
        let outcome = verdict.elements.get(next[element.entry])?;
        next[element.entry] += 1;
        Some((position, element, verdict, outcome))
    })
}

impl<'j> Entries<'j> {
    /// Adds a batch, and takes what it needs from what is `left` of the budget. `None` for `records`: a dry run, of which
    /// no order is kept.
    pub fn add(
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
        let line = line_bytes(accepted, records.is_none());
        if line > 0 && !take(line) {
            self.not_kept += verdicts.len() - accepted;
            return;
        }
        if let Some(records) = records
            && (accepted < verdicts.len() || with_remarks > 0)
        {
            let of = Keeping {
                batch,
                job,
                at: records.at(job),
                verdicts,
                keys: reply::keys(&job.elements),
                records,
            };
            // The rejected ones first: of them nothing is stored.
            self.keep(&of, |verdict, _| !verdict.is_accepted(), &mut take);
            if with_remarks > 0 {
                let is_loss = |verdict: &Verdict, outcome: &Outcome| {
                    verdict.is_accepted() && outcome.is_loss()
                };
                self.keep(&of, is_loss, &mut take);
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

    /// Keeps the elements of which that became.
    fn keep(
        &mut self,
        of: &Keeping<'j, '_, '_>,
        is_one: impl Fn(&Verdict, &Outcome) -> bool,
        take: &mut impl FnMut(usize) -> bool,
    ) {
        let Keeping {
            batch,
            job,
            at,
            verdicts,
            ref keys,
            records,
        } = *of;
        // Elements without an id of their own, by their text.
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (position, element, verdict, outcome) in outcomes(job, verdicts) {
            if !is_one(verdict, outcome) {
                continue;
            }
            let body = &job.body[job.ranges[position].clone()];
            let id = element.id.as_deref();
            if id.is_none()
                && let Some(first) = seen.get(body)
            {
                self.kept[*first].repeated += 1;
                continue;
            }
            if records.has(job, verdict, body) {
                continue;
            }
            let (faults, warnings) = match outcome {
                Outcome::Refused(faults) if !verdict.is_accepted() => {
                    let faults = faults.iter();
                    let texts = faults.map(|fault| FaultText::brief(fault, Language::Ru));
                    (list(texts), None)
                }
                outcome => {
                    let texts = outcome.remarks().map(|r| RemarkText(r, Language::Ru));
                    (list(std::iter::empty::<()>()), Some(list(texts)))
                }
            };
            let key = id.unwrap_or(&keys[element.entry]);
            let texts = faults.get().len() + warnings.as_ref().map_or(0, |w| w.get().len());
            if !take(ROW_BYTES + body.len() + key.len() + texts) {
                self.not_kept += 1;
                continue;
            }
            if id.is_none() {
                seen.insert(body, self.kept.len());
            }
            let (order_version, client_version) = records.versions(id, (at, position));
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
