//! The use case: one batch in, one verdict per order out. No HTTP, no SQL.
//!
//! `accept` reads the elements, waits in its publication's lane ([`coalesce`]), is stored together with whatever else
//! waited ([`transaction`]), and answers.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::oneshot;

mod check;
mod coalesce;
mod journal;
mod transaction;

use crate::{
    config::{Config, Publication},
    database::{DiskWatch, Space},
    fair_semaphore::{FairSemaphore, Permit},
    memory::Reservation,
    order::{
        decide::Verdict,
        fault::Language,
        known::Keys,
        reply::{Envelope, Stored},
        wire::{self, Element},
    },
    store::{Store, Write, numbers::Numbers},
    telemetry::{
        metrics::{Metrics, Verdicts},
        traces::Stage,
    },
    threads::in_parallel,
};

/// A body larger than this is read, and its answer written, off the threads that serve everybody.
const LARGE_BODY: usize = 256 * 1024;

/// An answer of so many bytes is written also where no room is left for it.
const SMALL_ANSWER: usize = 64 * 1024;

/// A body larger than this waits, unread, while [`HUGE_AT_ONCE`] such are under way: read, decided on and answered, an
/// order takes ten times its text.
const HUGE_BODY: usize = 1024 * 1024;
/// While one is written, another is made ready or answered.
const HUGE_AT_ONCE: usize = 2;
/// Of bodies between this and [`HUGE_BODY`] so many bytes are under way, and the others wait unread, too.
const MEDIUM_BODY: usize = 64 * 1024;
const MEDIUM_AT_ONCE: usize = 8 * 1024 * 1024;
/// Reading a body larger than this takes longer than starting a thread.
const WORTH_SHARING: usize = 64 * 1024;
/// A large batch is shared by no more threads than this.
const MOST_THREADS: usize = 4;

/// So many faults and warnings of a batch are told in full; after that every order is told its first [`FEW_FAULTS`] of each. No
/// honest batch comes near, but a body full of empty lines must not be answered, and kept in the journal, with a hundred times its size.
const MOST_FAULTS: usize = 20_000;
/// See [`MOST_FAULTS`].
const FEW_FAULTS: usize = 10;

/// Takes batches. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    metrics: Arc<Metrics>,
    numbers: Numbers,
    lanes: coalesce::Lanes,
    /// See [`HUGE_BODY`].
    huge: FairSemaphore,
    /// See [`MEDIUM_BODY`].
    medium: FairSemaphore,
    /// See [`check::AT_ONCE`].
    checks: FairSemaphore,
    /// Past this PostgreSQL begins to store nothing any more, and what it has begun it ends within its own timeout: all
    /// that before the answer's deadline (contract §1).
    store_within: Duration,
    /// How long an open outcome may be asked after; longer than `store_within`, shorter than the answer's deadline.
    settle_within: Duration,
    /// `limits.answer_bytes`
    answer_bytes: usize,
    dry_runs: check::Rate,
    /// See [`journal`].
    journal_budget: journal::Budget,
    kept_today: journal::KeptToday,
    /// The disk of the private cluster.
    disk: Option<DiskWatch>,
    /// The service stops, and has waited long enough for what was taken.
    stopped: AtomicBool,
    /// Keys are compared by their hash; a random one, so that nobody can make his collide with another's.
    hasher: RandomState,
}

/// A batch as the caller sent it.
#[derive(Debug)]
pub struct RawBatch {
    /// Whose.
    pub publication: Arc<Publication>,
    /// `X-Request-Id`, for the journal.
    pub request_id: String,
    /// Who sent it; `None` when anonymous.
    pub login: Option<String>,
    /// A JSON array, UTF-8.
    pub body: String,
    /// Where in `body` its elements stand.
    pub elements: Vec<Range<usize>>,
    /// Of the messages.
    pub language: Language,
    /// The room that it takes up, and whose it is.
    pub memory: Reservation,
    /// When its body was there: the time of its answer counts from then.
    pub complete_at: Instant,
}

/// A batch that was processed, whatever became of each order.
#[derive(Debug)]
pub struct Reply {
    /// The whole answer, JSON, in pieces that belong one behind the other.
    pub body: Vec<Vec<u8>>,
    /// Entries in it.
    pub orders: usize,
    /// Of them accepted.
    pub accepted: usize,
    /// Of them rejected.
    pub rejected: usize,
    /// What it waited for: its turn, then its transaction's reading, deciding and writing.
    pub stages: Vec<Stage>,
    /// The batch's, to be kept until the answer is sent.
    pub memory: Reservation,
}

/// Why a batch could not be processed. Nothing of it is stored; sending it again is safe (contract §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Too many wait already.
    #[error("overloaded")]
    Overloaded,
    /// The database is away, or did not take the batch as a whole.
    #[error("storage unavailable")]
    Storage,
    /// The answer would be longer than so many bytes (`limits.answer_bytes`), and would be so again.
    #[error("the answer would take more than {0} bytes: send fewer orders at a time")]
    AnswerTooLarge(usize),
}

/// A batch read, on its way through the lane.
#[derive(Debug)]
struct Job {
    publication: Arc<Publication>,
    request_id: String,
    login: Option<String>,
    body: String,
    places: Vec<Range<usize>>,
    elements: Vec<Element>,
    /// Of its sender, see [`crate::share::Share`].
    wide_network: u64,
    language: Language,
    /// Its room, until the answer has it.
    memory: Mutex<Option<Reservation>>,
    claims: Claims,
    received_at: DateTime<Utc>,
    taken_at: Instant,
    /// It began to wait for its turn then.
    submitted_at: Instant,
}

/// What a batch's elements name, hashed: batches that share one keep their order of arrival.
#[derive(Debug, Default)]
struct Claims {
    orders: HashSet<u64>,
    clients: HashSet<u64>,
}

impl Claims {
    fn extend(&mut self, more: &Self) {
        self.orders.extend(&more.orders);
        self.clients.extend(&more.clients);
    }

    fn shares_with(&self, others: &Self) -> bool {
        !self.orders.is_disjoint(&others.orders) || !self.clients.is_disjoint(&others.clients)
    }
}

/// A batch stored: what to answer it.
#[derive(Debug)]
struct Done {
    job: Arc<Job>,
    verdicts: Vec<Verdict>,
    stored: Arc<Stored>,
    stages: Vec<Stage>,
}

impl Intake {
    /// An intake that writes to `store`, within the times and limits of `config`, and counts what it does.
    #[must_use]
    pub fn new(store: Store, config: &Config, metrics: Arc<Metrics>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                metrics,
                numbers: Numbers::default(),
                lanes: coalesce::Lanes::new(
                    config.limits.waiting_batches,
                    config.limits.coalesce,
                    // Those that wait for locks leave most connections to the others.
                    (config.database.connections / 3).max(1) as usize,
                ),
                huge: FairSemaphore::new(HUGE_AT_ONCE),
                medium: FairSemaphore::new(MEDIUM_AT_ONCE),
                checks: FairSemaphore::new(check::AT_ONCE),
                store_within: config
                    .times
                    .answer
                    .saturating_sub(config.database.statement_timeout)
                    * 9
                    / 10,
                settle_within: config.times.answer * 9 / 10,
                answer_bytes: config.limits.answer_bytes,
                dry_runs: check::Rate::new(config.limits.dry_runs_per_minute),
                journal_budget: journal::Budget::new(config.journal.rejected_bytes_per_day),
                kept_today: journal::KeptToday::new(),
                disk: (config.database.url.is_none())
                    .then(|| DiskWatch::new(&config.database.data_dir)),
                stopped: AtomicBool::new(false),
                hasher: RandomState::new(),
            }),
        }
    }

    /// Where batches are stored.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// By publication that was heard of: batches that wait for their turn, and transactions under way.
    #[must_use]
    pub fn lanes(&self) -> Vec<(String, usize, usize)> {
        self.inner.lanes.lengths()
    }

    /// Has deciding end, however much of it is left: nobody waits for the answers any more.
    pub fn stop(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
    }

    /// Processes a batch: when this returns `Ok`, what it says is committed (contract §7).
    ///
    /// Its database work runs in a task of its own, so dropping this future half-way harms nothing.
    ///
    /// # Errors
    /// [`Unavailable`], and then nothing of the batch is stored.
    pub async fn accept(&self, batch: RawBatch) -> Result<Reply, Unavailable> {
        if self.inner.space() == Space::Full {
            return Err(Unavailable::Storage);
        }
        let large = large_body(&batch.body);
        let _turn = self.turn(&batch).await?;
        let inner = Arc::clone(&self.inner);
        let job = off_thread(large, move || inner.read(batch)).await?;
        let (sender, receiver) = oneshot::channel();
        coalesce::submit(&self.inner, job, sender)?;
        // A sender that is gone without a word died in a panic: nothing of the batch is known to be stored.
        let done = receiver.await.unwrap_or(Err(Unavailable::Storage))?;
        let verdicts = Verdicts::of(&done.verdicts);
        let publication = &done.job.publication.name;
        self.inner.metrics.processed(publication, &verdicts);
        let (reply, done) = off_thread(large, move || (done.reply(), done)).await?;
        // Freeing its many texts takes a while, for which the caller need not wait.
        if large {
            tokio::task::spawn_blocking(|| drop(done));
        } else {
            tokio::spawn(async { drop(done) });
        }
        reply
    }

    /// Waits until a body may be read: there is room for so many of its size at a time. Dropped, it makes room again.
    async fn turn(&self, batch: &RawBatch) -> Result<Option<Permit>, Unavailable> {
        let share = batch.memory.share();
        let turn = match batch.body.len() {
            length if length > HUGE_BODY => self.inner.huge.acquire(share, 1).await,
            length if length > MEDIUM_BODY => self.inner.medium.acquire(share, length).await,
            _ => return Ok(None),
        };
        turn.map(Some).map_err(|_too_many| Unavailable::Overloaded)
    }
}

/// See [`LARGE_BODY`].
fn large_body(body: &str) -> bool {
    body.len() > LARGE_BODY
}

/// See [`MOST_FAULTS`].
fn limit_faults(element: &mut Element, left: &mut usize) {
    // None of the second list would say that nothing is missing, so some of each are left.
    for faults in [&mut element.faults, &mut element.missing] {
        faults.truncate((*left).max(FEW_FAULTS));
        *left = left.saturating_sub(faults.len());
    }
    let most = (*left).max(FEW_FAULTS);
    if element.warnings.len() > most {
        // That something was lost is said, and kept in the journal, whatever else there is to say.
        element.warnings.sort_by_key(|warning| !warning.is_loss());
        element.warnings.truncate(most);
    }
    *left = left.saturating_sub(element.warnings.len());
}

/// How many threads share the reading of a body and the writing of its answer: one, but for a large one.
fn threads(body: &str) -> usize {
    if body.len() > WORTH_SHARING {
        thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS))
    } else {
        1
    }
}

/// Runs heavy work where it keeps nobody waiting.
async fn off_thread<T: Send + 'static>(
    large: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unavailable> {
    if large {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Unavailable::Storage)
    } else {
        Ok(work())
    }
}

impl Inner {
    /// Whether work that must be over by then may go on.
    fn may_go_on(&self, until: Instant) -> bool {
        !self.stopped.load(Ordering::Relaxed) && Instant::now() < until
    }

    fn space(&self) -> Space {
        self.disk.as_ref().map_or(Space::Enough, DiskWatch::space)
    }

    /// How many bytes the journal may take besides the receipts of what is stored.
    async fn journal_room(&self, publication: &str) -> usize {
        match self.space() {
            Space::Enough => self.journal_budget.left(&self.store, publication).await,
            Space::Scarce | Space::Full => 0,
        }
    }

    /// This was written into the journal, and so many orders found no room there.
    fn journaled(&self, publication: &str, write: &Write<'_>, not_kept: usize) {
        let bytes = write.batches.iter().map(|batch| batch.kept_bytes).sum();
        if bytes > 0 {
            self.journal_budget.took(publication, bytes);
        }
        for row in &write.kept {
            self.kept_today.add(publication, row);
        }
        if not_kept > 0 {
            self.metrics.not_kept(publication, not_kept);
        }
    }

    fn read(&self, batch: RawBatch) -> Job {
        let rules = &batch.publication.rules;
        let places = &batch.elements;
        let read = |part: Range<usize>| {
            let mut faults_left = MOST_FAULTS;
            let mut orders = Vec::with_capacity(part.len());
            let mut clients = Vec::with_capacity(part.len());
            let elements: Vec<Element> = places[part]
                .iter()
                .map(|place| {
                    let most_faults = faults_left.max(FEW_FAULTS);
                    let text = &batch.body[place.clone()];
                    let mut element = wire::parse(text, rules, most_faults);
                    limit_faults(&mut element, &mut faults_left);
                    orders.extend(self.order_claims(&element));
                    clients.extend(self.client_claims_of(&element));
                    element
                })
                .collect();
            (elements, orders, clients)
        };
        let mut elements = Vec::with_capacity(places.len());
        let mut claims = Claims::default();
        for (more_elements, orders, clients) in
            in_parallel(places.len(), threads(&batch.body), read)
        {
            elements.extend(more_elements);
            claims.orders.extend(orders);
            claims.clients.extend(clients);
        }
        // Each thread kept within the bound by itself; all of them together must, too.
        let mut faults_left = MOST_FAULTS;
        for element in &mut elements {
            limit_faults(element, &mut faults_left);
        }
        Job {
            publication: batch.publication,
            request_id: batch.request_id,
            login: batch.login,
            body: batch.body,
            places: batch.elements,
            elements,
            language: batch.language,
            wide_network: batch.memory.share().wide_network(),
            memory: Mutex::new(Some(batch.memory)),
            claims,
            // PostgreSQL keeps microseconds; what is answered now must be what is read back later.
            received_at: Utc::now().trunc_subsecs(6),
            taken_at: batch.complete_at,
            submitted_at: Instant::now(),
        }
    }

    /// What an element's order is known by.
    fn order_claims(&self, element: &Element) -> impl Iterator<Item = u64> {
        let id = element.id.as_deref();
        [
            id.map(|id| self.hasher.hash_one((0, id))),
            element
                .external_id
                .map(|number| self.hasher.hash_one((1, number))),
        ]
        .into_iter()
        .flatten()
    }

    /// What an element's client is known by.
    fn client_claims_of(&self, element: &Element) -> impl Iterator<Item = u64> {
        let client = &element.client;
        let guest = client.phone.as_deref().filter(|_| !client.is_registered());
        self.client_claims(client.id.as_deref(), client.external_id, guest)
    }

    /// What a client is known by.
    fn client_claims(
        &self,
        id: Option<&str>,
        number: Option<i32>,
        guest_phone: Option<&str>,
    ) -> impl Iterator<Item = u64> {
        [
            id.map(|id| self.hasher.hash_one((2, id))),
            number.map(|number| self.hasher.hash_one((3, number))),
            guest_phone.map(|phone| self.hasher.hash_one((4, phone))),
        ]
        .into_iter()
        .flatten()
    }
}

impl Job {
    fn keys<'k>(&'k self, keys: &mut Keys<'k>) {
        for element in &self.elements {
            keys.add(element);
        }
    }

    fn envelope<'j>(&'j self, verdicts: &'j [Verdict], stored: &'j Stored) -> Envelope<'j> {
        Envelope {
            elements: &self.elements,
            verdicts,
            stored,
            rules: &self.publication.rules,
            language: self.language,
        }
    }

    /// Makes room for the answer to these verdicts, before anything of the batch is stored.
    fn make_room_for_answer(
        &self,
        verdicts: &[Verdict],
        stored: &Stored,
        most: usize,
    ) -> Result<(), Unavailable> {
        let bytes = self.envelope(verdicts, stored).most_bytes(most);
        if bytes > most {
            return Err(Unavailable::AnswerTooLarge(most));
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        // What its orders took up at the least was for their answers.
        let grown = memory
            .as_mut()
            .map(|memory| memory.grow(self.body.len() + bytes));
        match grown {
            Some(Err(_full)) if bytes > SMALL_ANSWER => Err(Unavailable::Overloaded),
            _ => Ok(()),
        }
    }
}

impl Done {
    fn reply(&self) -> Result<Reply, Unavailable> {
        let Self {
            job,
            verdicts,
            stored,
            stages,
        } = self;
        let unwritable = |error: &dyn std::fmt::Display| {
            // Only a bug can bring us here; the orders are stored, and sending them again is safe.
            tracing::error!(request_id = job.request_id, %error, "the answer could not be written");
            Unavailable::Storage
        };
        let envelope = job.envelope(verdicts, stored);
        let writer = envelope.writer();
        let parts = in_parallel(writer.entries(), threads(&job.body), |entries| {
            writer.pieces(entries)
        });
        let mut body = Vec::new();
        for pieces in parts {
            body.extend(pieces.map_err(|error| unwritable(&error))?);
        }
        debug_assert!(
            body.iter().map(Vec::len).sum::<usize>() <= envelope.most_bytes(usize::MAX),
            "an answer is longer than was told"
        );
        let memory = self
            .job
            .memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let memory = memory.ok_or_else(|| unwritable(&"it was written before"))?;
        let accepted = accepted(verdicts);
        Ok(Reply {
            body,
            orders: verdicts.len(),
            accepted,
            rejected: verdicts.len() - accepted,
            stages: stages.clone(),
            memory,
        })
    }
}

fn accepted(verdicts: &[Verdict]) -> usize {
    verdicts
        .iter()
        .filter(|verdict| matches!(verdict, Verdict::Accepted(_)))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{
        Rules,
        fault::{Warning, WarningCode},
    };

    #[test]
    fn of_too_many_warnings_the_first_are_told_and_a_loss_is_never_left_out() {
        let rules = Rules::with_limits(500, 100);
        let mut element = wire::parse("{}", &rules, 1);
        element.faults.clear();
        let everyday = Warning::new(&"external_id", WarningCode::ExternalIdIgnored);
        let loss = Warning::new(&"comment", WarningCode::WrongType);
        element.warnings = vec![everyday; 100];
        element.warnings.push(loss.clone());
        let mut left = 200;
        limit_faults(&mut element, &mut left);
        assert_eq!((element.warnings.len(), left), (101, 99));
        limit_faults(&mut element, &mut left);
        assert_eq!((element.warnings.len(), left), (99, 0));
        limit_faults(&mut element, &mut left);
        assert_eq!(element.warnings.len(), FEW_FAULTS);
        assert_eq!(element.warnings[0], loss);
    }
}
