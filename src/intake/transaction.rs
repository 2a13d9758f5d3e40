//! One transaction for a group of batches: read, decide, write; again when overtaken; apart when refused.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    Claims, Done, Inner, Job, Unavailable, accepted,
    coalesce::UnderWay,
    journal::{Entries, KeptToday, Records, line_bytes},
};
use crate::{
    order::{
        decide::{
            self, Accepted, Batch, Decision, FreeNumbers, Record, Shortage, Undecided, Verdict,
        },
        diff, history,
        known::{Keys, Known},
        model::Order,
        reply::Stored,
    },
    store::{ChangeRow, Error, Store, Write},
    telemetry::{metrics::Retry, traces::Stage},
    threads::block_if_many,
};

/// How often somebody else may be faster before we give up. Each time somebody's batch was stored, so a crowd of
/// instances on the same records gets on; the deadline ends it in any case.
const ATTEMPTS: u32 = 50;
/// The longest pause before the next attempt.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);
/// How often a connection that broke, before anything was written, is tried again with another one.
const FRESH_CONNECTIONS: u32 = 2;
/// Between two questions to a database that is away.
const PAUSE: Duration = Duration::from_millis(100);
/// The same while nobody waits for the answer.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// So long a transaction that keeps others waiting waits for somebody's lock. Other writers hold theirs for as long as the
/// disk takes.
const LOCK_PATIENCE: Duration = Duration::from_millis(250);
/// A big batch that was overtaken so often, or has waited so long, lets nobody by any more.
const LOSSES: u32 = 2;
/// See [`LOSSES`].
const WAITED: Duration = Duration::from_secs(2);

/// What became of a batch of a group.
#[derive(Debug)]
pub(super) enum Outcome {
    /// To be answered.
    Answer(Result<Done, Unavailable>),
    /// Somebody's lock stands in its way: it is to be tried apart, with more patience.
    Locked,
}

/// What became of a group.
#[derive(Debug)]
pub(super) struct Written {
    /// Of each batch.
    pub outcomes: Vec<Outcome>,
    /// What was answered 503 and may yet land.
    pub open: Vec<Open>,
}

/// A transaction of which nobody knows yet whether it is stored.
#[derive(Debug)]
pub(super) struct Open {
    publication: String,
    batch: Uuid,
    received_at: DateTime<Utc>,
}

impl Open {
    /// Asks until the journal answers. Then it is stored, or never will be. Each question may wait for the one that was cut
    /// off, and so is one of the `apart`.
    pub(super) async fn settle(&self, store: &Store, apart: &Semaphore) {
        loop {
            let turn = apart.acquire().await;
            let asked = self.ask(store).await;
            drop(turn);
            let Err(error) = asked else {
                return;
            };
            tracing::debug!(error = %error.in_full(), "the journal cannot be asked yet");
            tokio::time::sleep(LONG_PAUSE).await;
        }
    }

    async fn ask(&self, store: &Store) -> Result<bool, Error> {
        let settled = store
            .settle(&self.publication, self.batch, self.received_at)
            .await;
        if let Ok(stored) = settled {
            tracing::info!(batch = %self.batch, stored, "settled by the journal");
        }
        settled
    }
}

/// Why a transaction came to nothing.
enum Failure {
    /// The database took offence at something in it.
    Refused,
    /// Somebody's lock stands in the way.
    Locked,
    /// The time of the one that waits longest is up.
    Late,
    /// It was cut off, and may yet be stored.
    Open(Open),
    /// It cannot be stored now.
    Unavailable,
    /// There is no room for the answer to this one of the batches.
    NoAnswer(usize, Unavailable),
    /// More is stored under their keys than may be read at a time.
    TooMuch,
}

/// Stores a group of batches of one publication.
pub(super) async fn store(under_way: &UnderWay, jobs: &[Arc<Job>]) -> Written {
    let inner = &*under_way.inner;
    // Whoever made way for a lock was counted when he came first.
    for job in jobs.iter().filter(|_| !under_way.is_apart()) {
        let waited = job.submitted_at.elapsed();
        inner.metrics.queue.observe(waited.as_secs_f64());
    }
    if jobs.len() > 1 {
        inner.metrics.coalesced_batches.inc_by(jobs.len() as u64);
    }
    let mut group = Storing {
        under_way,
        jobs,
        outcomes: jobs.iter().map(|_| None).collect(),
        open: Vec::new(),
    };
    let mut left: Vec<usize> = (0..jobs.len()).collect();
    while !left.is_empty() {
        let apart = match group.together(&left).await {
            Ok(()) => break,
            Err(apart) => apart,
        };
        match apart {
            Apart::Without(answered) => left.retain(|job| !answered.contains(job)),
            Apart::Each => {
                group.each(&left).await;
                break;
            }
        }
    }
    let Storing { outcomes, open, .. } = group;
    let outcomes = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(Outcome::Answer(Err(Unavailable::Storage))))
        .collect();
    Written { outcomes, open }
}

/// A group on its way.
struct Storing<'a> {
    under_way: &'a UnderWay,
    jobs: &'a [Arc<Job>],
    outcomes: Vec<Option<Outcome>>,
    open: Vec<Open>,
}

/// How to go on with a group that could not be stored together.
enum Apart {
    /// Without these, which are answered; the others have time left, and room.
    Without(Vec<usize>),
    /// Each by itself.
    Each,
}

impl Storing<'_> {
    /// In one transaction.
    async fn together(&mut self, left: &[usize]) -> Result<(), Apart> {
        let jobs: Vec<Arc<Job>> = left
            .iter()
            .map(|job| Arc::clone(&self.jobs[*job]))
            .collect();
        let none = vec![HashSet::new(); jobs.len()];
        let attempt = Attempt {
            refused: &none,
            skipped: &none,
            lock_patience: self.lock_patience(),
            under_way: Some(self.under_way),
            ..Attempt::default()
        };
        match transact(&self.under_way.inner, &jobs, &attempt).await {
            Ok(done) => {
                for (job, done) in left.iter().zip(done) {
                    self.is_stored(*job, done);
                }
                Ok(())
            }
            Err(Failure::Late) => {
                let now = Instant::now();
                let until =
                    |job: &usize| self.jobs[*job].taken_at + self.under_way.inner.store_within;
                // By the database's clock it was the first one's turn a little earlier.
                let first = left.iter().copied().min_by_key(until);
                let late: Vec<usize> = left
                    .iter()
                    .copied()
                    .filter(|job| now >= until(job) || Some(*job) == first)
                    .collect();
                Err(Apart::Without(late))
            }
            Err(Failure::NoAnswer(job, why)) => {
                self.outcomes[left[job]] = Some(Outcome::Answer(Err(why)));
                Err(Apart::Without(vec![left[job]]))
            }
            // Nobody pays for another's fault, or waits for what another wants.
            Err(Failure::Refused) => {
                self.under_way.inner.metrics.retried(Retry::Refused);
                Err(Apart::Each)
            }
            Err(Failure::TooMuch) if left.len() > 1 => Err(Apart::Each),
            Err(Failure::Locked) if left.len() > 1 => {
                self.under_way.inner.metrics.retried(Retry::Locked);
                Err(Apart::Each)
            }
            Err(failure) => {
                for job in left {
                    self.failed(*job, &failure);
                }
                if let Failure::Open(open) = failure {
                    self.open.push(open);
                }
                Ok(())
            }
        }
    }

    /// Each by itself, in their order.
    async fn each(&mut self, left: &[usize]) {
        let mut locked = Claims::default();
        for job in left {
            // It must not overtake one that makes way for a lock.
            if self.jobs[*job].claims.shares_with(&locked) {
                self.failed(*job, &Failure::Locked);
                continue;
            }
            let patience = self.lock_patience();
            match store_apart(&self.under_way.inner, &self.jobs[*job], patience).await {
                Ok(done) => self.is_stored(*job, done),
                Err(failure) => {
                    self.failed(*job, &failure);
                    match failure {
                        Failure::Locked => locked.extend(&self.jobs[*job].claims),
                        Failure::Open(open) => self.open.push(open),
                        _ => {}
                    }
                }
            }
        }
    }

    /// `None`: as long as `lock_timeout` says.
    fn lock_patience(&self) -> Option<Duration> {
        (!self.under_way.is_apart()).then_some(LOCK_PATIENCE)
    }

    fn is_stored(&mut self, job: usize, done: Done) {
        if self.under_way.is_apart() {
            self.under_way.is_free(&self.jobs[job]);
        }
        self.outcomes[job] = Some(Outcome::Answer(Ok(done)));
    }

    fn failed(&mut self, job: usize, failure: &Failure) {
        if let Failure::Locked = failure {
            self.under_way.was_locked(&self.jobs[job]);
            if !self.under_way.is_apart() {
                self.outcomes[job] = Some(Outcome::Locked);
                return;
            }
        }
        let why = match failure {
            Failure::NoAnswer(_, why) => *why,
            Failure::TooMuch => Unavailable::AnswerTooLarge(self.under_way.inner.answer_bytes),
            _ => Unavailable::Storage,
        };
        self.outcomes[job] = Some(Outcome::Answer(Err(why)));
    }
}

/// Stores one batch, without the orders that the database refuses.
async fn store_apart(
    inner: &Inner,
    job: &Arc<Job>,
    lock_patience: Option<Duration>,
) -> Result<Done, Failure> {
    let jobs = std::slice::from_ref(job);
    let none = [HashSet::new()];
    let mut refused = [HashSet::new()];
    let mut without_kept = false;
    loop {
        let attempt = Attempt {
            refused: &refused,
            skipped: &none,
            lock_patience,
            without_kept,
            ..Attempt::default()
        };
        match transact(inner, jobs, &attempt).await {
            Ok(mut done) => return done.pop().ok_or(Failure::Unavailable),
            Err(Failure::Refused) => {
                let more = at_fault(inner, jobs, &refused[0], lock_patience).await?;
                if more.is_empty() && without_kept {
                    tracing::error!(
                        request_id = job.request_id,
                        "the database refuses the batch, but no order of it"
                    );
                    return Err(Failure::Unavailable);
                }
                if more.is_empty() {
                    // Or it would refuse the batch for ever, for the sake of what is but kept for people to read.
                    tracing::error!(
                        request_id = job.request_id,
                        "the database does not take what is to be kept of the batch's orders: they are answered, and not kept"
                    );
                    without_kept = true;
                }
                refused[0].extend(more);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Finds entries that the database refuses, by halving. Everything it tries is taken back.
///
/// Where it takes each by itself but not all of them, the first one that it does not take behind those before it is at
/// fault. None are found when it would refuse the batch without any order, or does not take what is to be kept of them.
async fn at_fault(
    inner: &Inner,
    jobs: &[Arc<Job>],
    known: &HashSet<usize>,
    lock_patience: Option<Duration>,
) -> Result<Vec<usize>, Failure> {
    let entries: HashSet<usize> = decide::entries(&jobs[0].elements).into_iter().collect();
    let mut suspects: Vec<usize> = entries.difference(known).copied().collect();
    suspects.sort_unstable();
    let is_refused = async |part: &[usize]| {
        let skipped = [entries
            .iter()
            .copied()
            .filter(|entry| part.binary_search(entry).is_err())
            .collect()];
        let attempt = Attempt {
            refused: &[HashSet::new()],
            skipped: &skipped,
            probe: true,
            lock_patience,
            ..Attempt::default()
        };
        match transact(inner, jobs, &attempt).await {
            Ok(_) => Ok(false),
            Err(Failure::Refused) => Ok(true),
            Err(failure) => Err(failure),
        }
    };
    // What is kept of orders is no part of it, and then at fault itself.
    if !is_refused(&suspects).await? {
        return Ok(Vec::new());
    }
    let mut at_fault = Vec::new();
    let mut refused_parts = vec![&suspects[..]];
    while let Some(part) = refused_parts.pop() {
        if let [entry] = part {
            at_fault.push(*entry);
            continue;
        }
        let (left, right) = part.split_at(part.len() / 2);
        for half in [right, left] {
            if !half.is_empty() && is_refused(half).await? {
                refused_parts.push(half);
            }
        }
    }
    if at_fault.is_empty() && !is_refused(&[]).await? {
        // So many from the front are taken, so many are not.
        let (mut taken, mut refused) = (0, suspects.len());
        while refused > taken + 1 {
            let middle = usize::midpoint(taken, refused);
            if is_refused(&suspects[..middle]).await? {
                refused = middle;
            } else {
                taken = middle;
            }
        }
        at_fault.extend(suspects.get(taken));
    }
    Ok(at_fault)
}

/// How a group is to be stored.
#[derive(Default)]
struct Attempt<'a> {
    /// Of each job: entries that the database refuses.
    refused: &'a [HashSet<usize>],
    /// Of each job: entries to leave out.
    skipped: &'a [HashSet<usize>],
    /// Only see whether the database would take it.
    probe: bool,
    /// How long to wait for somebody's lock; `None`: as long as `lock_timeout` says.
    lock_patience: Option<Duration>,
    /// Leave the orders out of the journal that it does not take.
    without_kept: bool,
    /// Whom to tell what is left as it is.
    under_way: Option<&'a UnderWay>,
}

/// Reads, decides and writes.
async fn transact(
    inner: &Inner,
    jobs: &[Arc<Job>],
    how: &Attempt<'_>,
) -> Result<Vec<Done>, Failure> {
    let Attempt {
        refused,
        skipped,
        probe,
        lock_patience,
        without_kept,
        under_way,
    } = *how;
    let orders = jobs.iter().map(|job| job.elements.len()).sum();
    let publication = &jobs[0].publication;
    // The one that waits longest must not be stored after its answer.
    let taken_at = jobs
        .iter()
        .map(|job| job.taken_at)
        .min()
        .unwrap_or_else(Instant::now);
    let store_until = taken_at + inner.store_within;
    let mut keys = Keys::default();
    for job in jobs {
        job.keys(&mut keys);
    }
    let batches: Vec<Batch<'_>> = jobs
        .iter()
        .zip(refused.iter().zip(skipped))
        .map(|(job, (refused, skipped))| Batch {
            elements: &job.elements,
            received_at: job.received_at,
            refused,
            skipped,
        })
        .collect();

    // An old connection that the server has closed meanwhile; those that come after it are fresh.
    let mut fresh_connections = FRESH_CONNECTIONS;
    let metrics = &*inner.metrics;
    let mut steps = Vec::with_capacity(3);
    let mut step = |name, begin: Instant, end: Instant, histogram: &Histogram| {
        histogram.observe((end - begin).as_secs_f64());
        steps.push(Stage { name, begin, end });
    };
    let mut broke = |error: &Error| {
        let again = matches!(error, Error::Unsure(_)) && fresh_connections > 0;
        fresh_connections -= u32::from(again);
        if again {
            metrics.retried(Retry::Connection);
        }
        again
    };
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(pause(attempt)).await;
        }
        if Instant::now() >= store_until {
            return Err(Failure::Late);
        }
        if let Some(under_way) = under_way
            && attempt > 0
            && (attempt >= LOSSES || jobs[0].submitted_at.elapsed() >= WAITED)
        {
            under_way.insist(&jobs[0]);
        }
        let read_in = inner.store.history();
        // Overtaken, by somebody's own hand perhaps, of whom the cache does not know.
        let anew = attempt > 0;
        metrics.transactions.inc();
        let begun_at = Instant::now();
        // What is read is answered, more or less, so there may be as much of it.
        let most_bytes = inner.answer_bytes;
        let read = inner.store.read(&publication.name, &keys, anew, most_bytes);
        let known = match read.await {
            Ok(known) => known,
            Err(Error::TooMuch) => return Err(Failure::TooMuch),
            Err(error) => {
                tracing::warn!(error = %error.in_full(), "reading failed");
                if broke(&error) {
                    continue;
                }
                return Err(Failure::Unavailable);
            }
        };
        let read_at = Instant::now();
        step("read", begun_at, read_at, &metrics.read);
        let decided = decide_with_numbers(inner, jobs, &known, &batches, &keys, store_until).await;
        let (decision, lease, rest) = match decided {
            Ok(Some(decided)) => decided,
            Ok(None) if Instant::now() >= store_until => return Err(Failure::Late),
            Ok(None) => return Err(Failure::Unavailable),
            Err(error) => {
                tracing::warn!(error = %error.in_full(), "numbers could not be reserved");
                if broke(&error) {
                    continue;
                }
                return Err(Failure::Unavailable);
            }
        };
        let deadline = known.now
            + TimeDelta::from_std(store_until.saturating_duration_since(read_at))
                .unwrap_or(TimeDelta::zero());
        if let Some(under_way) = under_way
            && attempt == 0
        {
            under_way.release(unchanged_clients(inner, &decision));
        }
        let stored = Arc::new(Stored::of(&decision));
        let room = block_if_many(orders, || {
            make_room_for_answers(inner, jobs, &decision.verdicts, &stored)
        });
        if let Err(why) = room {
            inner.numbers.give_back(&publication.name, lease);
            return Err(why);
        }
        let mut budget = 0;
        if may_need_room(&decision) {
            budget = inner.journal_room(&publication.name).await;
        }
        let (mut write, mut not_kept) = block_if_many(orders, || {
            let kept_today = &inner.kept_today;
            to_write(jobs, &decision, deadline, probe, kept_today, &mut budget)
        });
        (write.lock_patience, write.read_in) = (lock_patience, read_in);
        if without_kept {
            not_kept += write.kept.len();
            write.kept.clear();
            for batch in &mut write.batches {
                batch.kept_bytes = line_bytes(batch.accepted, batch.dry_run);
            }
        }
        let decided_at = Instant::now();
        step("decide", read_at, decided_at, &metrics.decide);
        let used = lease != rest;
        let give_back = |numbers| inner.numbers.give_back(&publication.name, numbers);
        let adopt = |decision: &Decision<'_>, rest| {
            give_back(rest);
            let adopted = adopted(decision, &keys);
            inner.numbers.discard(&publication.name, &adopted);
        };
        let written = match write.batches.as_slice() {
            // Nothing was accepted, and the journal has no room left to say so.
            [] => Ok(()),
            _ => inner.store.write(&publication.name, &write).await,
        };
        step("write", decided_at, Instant::now(), &metrics.write);
        match written {
            Ok(()) => {
                if probe {
                    drop(write);
                    give_back(lease);
                } else {
                    inner.journaled(&publication.name, &write, not_kept);
                    drop(write);
                    adopt(&decision, rest);
                }
                return Ok(done(jobs, decision, &stored, &steps));
            }
            Err(Error::Overtaken(error)) => {
                tracing::debug!(%error, attempt, "overtaken, reading again");
                metrics.retried(Retry::Overtaken);
                give_back(lease);
            }
            Err(Error::NumberTaken(error)) => {
                tracing::debug!(%error, attempt, "a number is taken, taking others");
                metrics.retried(Retry::NumberTaken);
                give_back(lease);
                if let Err(error) = inner
                    .store
                    .discard_taken(&inner.numbers, &publication.name)
                    .await
                {
                    tracing::warn!(error = %error.in_full(), "the reserve could not be sorted out");
                    return Err(Failure::Unavailable);
                }
            }
            Err(Error::Refused(error)) => {
                tracing::warn!(%error, orders = write.changes.orders.len(), "refused by the database");
                give_back(lease);
                return Err(Failure::Refused);
            }
            Err(error @ Error::Unsure(_)) => {
                tracing::warn!(error = %error.in_full(), "the connection broke while writing");
                if probe {
                    return Err(Failure::Unavailable);
                }
                // Where that stays open, the numbers may yet be some record's: nobody else gets them.
                if settle(inner, &write, jobs, taken_at + inner.settle_within).await? {
                    inner.journaled(&publication.name, &write, not_kept);
                    drop(write);
                    adopt(&decision, rest);
                    return Ok(done(jobs, decision, &stored, &steps));
                }
                metrics.retried(Retry::Connection);
                give_back(lease);
            }
            Err(Error::HistoryChanged) => {
                tracing::warn!(
                    "another server, or another life of it, takes the writes: reading again"
                );
                metrics.retried(Retry::Connection);
                give_back(lease);
            }
            Err(Error::Locked(error)) => {
                tracing::debug!(%error, "somebody's lock stands in the way");
                give_back(lease);
                return Err(Failure::Locked);
            }
            Err(Error::Late(error)) => {
                tracing::warn!(%error, "too late to be stored");
                give_back(lease);
                return Err(Failure::Late);
            }
            Err(error) => {
                tracing::warn!(error = %error.in_full(), used, "writing failed");
                give_back(lease);
                return Err(Failure::Unavailable);
            }
        }
    }
    tracing::warn!(attempts = ATTEMPTS, "others were faster every time");
    Err(Failure::Unavailable)
}

/// Decides, with as many free numbers as that takes. Returns besides the numbers it had and those that are left; `None`
/// where it was not done in time.
async fn decide_with_numbers<'k>(
    inner: &Inner,
    jobs: &[Arc<Job>],
    known: &'k Known,
    batches: &[Batch<'_>],
    keys: &Keys<'_>,
    until: Instant,
) -> Result<Option<(Decision<'k>, FreeNumbers, FreeNumbers)>, Error> {
    let publication = &jobs[0].publication;
    let orders = jobs.iter().map(|job| job.elements.len()).sum();
    let most_addresses = publication.rules.max_client_addresses;
    let mut want = guess(jobs, keys, known);
    let mut lease = inner.numbers.lease(&publication.name, want);
    loop {
        if let Err(error) = inner
            .store
            .reserve(&inner.numbers, publication, want, &mut lease)
            .await
        {
            inner.numbers.give_back(&publication.name, lease);
            return Err(error);
        }
        let mut rest = lease.clone();
        let go_on = || inner.may_go_on(until);
        let decided = block_if_many(orders, || {
            decide::decide(known, batches, &mut rest, most_addresses, &go_on)
        });
        match decided {
            Ok(decision) => return Ok(Some((decision, lease, rest))),
            Err(Undecided::Stopped) => {
                inner.numbers.give_back(&publication.name, lease);
                return Ok(None);
            }
            Err(Undecided::Short(short)) => {
                want = Shortage {
                    order: lease.order.len() + short.order,
                    client: lease.client.len() + short.client,
                    address: lease.address.len() + short.address,
                };
            }
        }
    }
}

/// The claims on clients that a decision leaves as they are.
fn unchanged_clients(inner: &Inner, decision: &Decision<'_>) -> impl Iterator<Item = u64> {
    decision
        .clients
        .iter()
        .filter(|record| record.is_unchanged())
        .flat_map(|record| {
            let client = &record.after;
            inner.client_claims(
                client.sender_id.as_deref(),
                Some(client.number),
                client.guest_phone.as_deref(),
            )
        })
}

/// The numbers that came along with new records: their turn in the reserve must not come any more.
fn adopted(decision: &Decision<'_>, keys: &Keys<'_>) -> FreeNumbers {
    let new_orders = decision
        .orders
        .iter()
        .filter(|record| record.before.is_none());
    let new_clients = decision
        .clients
        .iter()
        .filter(|record| record.before.is_none());
    let addresses = decision
        .clients
        .iter()
        .flat_map(|record| &record.after.addresses);
    FreeNumbers {
        order: new_orders
            .map(|record| record.after.number)
            .filter(|number| keys.order_numbers.contains(number))
            .collect(),
        client: new_clients
            .map(|record| record.after.number)
            .filter(|number| keys.client_numbers.contains(number))
            .collect(),
        // Known ones among them do no harm: the reserve does not have them.
        address: addresses
            .map(|address| address.number)
            .filter(|number| keys.address_numbers.contains(number))
            .collect(),
    }
}

/// How many numbers a batch will likely need, so that it is rarely decided twice. What is too much is given back.
fn guess(jobs: &[Arc<Job>], keys: &Keys<'_>, known: &Known) -> Shortage {
    let elements = jobs.iter().flat_map(|job| &job.elements);
    let good = elements.filter(|element| element.order.is_some()).count();
    let new = |named: usize, known: usize| named.saturating_sub(known).min(good);
    let clients = new(
        keys.client_ids.len() + keys.guest_phones.len(),
        known.clients.len(),
    );
    Shortage {
        order: new(keys.order_ids.len(), known.orders.len()),
        client: clients,
        address: clients,
    }
}

/// Makes room for the answers to all batches.
fn make_room_for_answers(
    inner: &Inner,
    jobs: &[Arc<Job>],
    verdicts: &[Vec<Verdict>],
    stored: &Stored,
) -> Result<(), Failure> {
    let mut batches = jobs.iter().zip(verdicts).enumerate();
    batches.try_for_each(|(at, (job, verdicts))| {
        let made = job.make_room_for_answer(verdicts, stored, inner.answer_bytes);
        made.map_err(|why| Failure::NoAnswer(at, why))
    })
}

/// Whether there may be something for the journal besides the receipt of what is stored.
fn may_need_room(decision: &Decision<'_>) -> bool {
    decision.verdicts.iter().any(|verdicts| {
        accepted(verdicts) < verdicts.len().max(1) || verdicts.iter().any(Verdict::has_remarks)
    })
}

/// What to write, and how many orders to be kept the journal's `budget` has no room for.
fn to_write<'w>(
    jobs: &'w [Arc<Job>],
    decision: &'w Decision<'_>,
    deadline: DateTime<Utc>,
    probe: bool,
    kept_today: &KeptToday,
    budget: &mut usize,
) -> (Write<'w>, usize) {
    let mut entries = Entries::default();
    let records = Records::of(jobs, decision, kept_today);
    let mut made_by = HashMap::new();
    let mut changed_by = BTreeMap::new();
    for (job, verdicts) in jobs.iter().zip(&decision.verdicts) {
        // A new id for every attempt: the row of one that was cut off is settled by its own.
        let batch = Uuid::now_v7();
        entries.add(batch, job, verdicts, Some(&records), budget);
        for verdict in verdicts {
            if let Verdict::Accepted(Accepted { order, .. }) = verdict {
                let record = &decision.orders[*order];
                if record.before.is_none() {
                    made_by.entry(record.after.number).or_insert(batch);
                } else if !record.is_unchanged() {
                    changed_by.insert(*order, (batch, &**job));
                }
            }
        }
    }
    let Entries {
        batches,
        mut kept,
        not_kept,
    } = entries;
    if probe {
        kept.clear();
    }
    let write = Write {
        changes: diff::changes(decision),
        batches,
        kept,
        made_by,
        history: changed_by
            .into_iter()
            .filter_map(|(order, by)| change_row(&decision.orders[order], by))
            .collect(),
        deadline,
        probe,
        lock_patience: None,
        read_in: 0,
    };
    (write, not_kept)
}

fn change_row<'w>(
    record: &Record<'_, Order>,
    (batch, job): (Uuid, &'w Job),
) -> Option<ChangeRow<'w>> {
    let Record { before, after } = record;
    before.map(|before| ChangeRow {
        order_number: after.number,
        version: before.version + 1,
        made_at: job.received_at,
        batch,
        request_id: &job.request_id,
        login: job.login.as_deref(),
        changes: history::changes(before, after),
    })
}

/// Asks the journal until it answers, or time is up.
async fn settle(
    inner: &Inner,
    write: &Write<'_>,
    jobs: &[Arc<Job>],
    until: Instant,
) -> Result<bool, Failure> {
    let row = &write.batches[0];
    let open = Open {
        publication: jobs[0].publication.name.clone(),
        batch: row.batch,
        received_at: row.received_at,
    };
    while Instant::now() < until {
        match open.ask(&inner.store).await {
            Ok(stored) => return Ok(stored),
            Err(error) => {
                tracing::debug!(error = %error.in_full(), "the journal cannot be asked yet");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Failure::Open(open))
}

/// What to answer each batch.
fn done(
    jobs: &[Arc<Job>],
    decision: Decision<'_>,
    stored: &Arc<Stored>,
    steps: &[Stage],
) -> Vec<Done> {
    let begun = steps.first().map_or_else(Instant::now, |first| first.begin);
    let stages_of = |job: &Job| {
        let waiting = Stage {
            name: "queue",
            begin: job.submitted_at,
            end: begun,
        };
        [&[waiting], steps].concat()
    };
    jobs.iter()
        .zip(decision.verdicts)
        .map(|(job, verdicts)| Done {
            job: Arc::clone(job),
            verdicts,
            stages: stages_of(job),
            stored: Arc::clone(stored),
        })
        .collect()
}

/// Whoever was faster is done by now, or soon. Chance keeps two from meeting again and again, and the more of it the
/// longer a crowd lasts; it is as random as a UUID is.
fn pause(attempt: u32) -> Duration {
    let longest = Duration::from_millis(1 << attempt.min(6)).min(LONGEST_PAUSE);
    let chance = u32::try_from(Uuid::new_v4().as_u128() & 0xffff).unwrap_or(0);
    longest * chance / 0xffff
}
