//! The use case: one batch in, one verdict per order out. No HTTP, no SQL.
//!
//! A batch is read ([`job`]), waits in its publication's lane ([`lanes`]), is stored together with others that wait
//! ([`group`]), and is answered.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, oneshot};

mod attempt;
mod conflict;
mod dry_run;
mod group;
mod isolate;
mod job;
mod journal;
mod lanes;
pub mod resubmit;
mod settle;
mod size;
mod transaction;
mod write;

use self::{
    conflict::KeyHasher,
    job::{Job, Pending},
    lanes::Lanes,
    size::{Gates, Size},
};
use crate::{
    config::{Config, Publication},
    database::{DiskWatch, Space},
    fair_semaphore::QueueFull,
    memory::Reservation,
    order::fault::Language,
    store::{Store, Write, numbers::Reserve},
    telemetry::{
        metrics::{Metrics, Verdicts},
        traces::Stage,
    },
};

#[derive(Debug, Clone)]
pub struct Intake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    metrics: Arc<Metrics>,
    numbers: Reserve,
    lanes: Lanes<Pending>,
    gates: Gates,
    /// Limits who may wait long for locks, of all publications together: the other connections are for those who need not.
    lock_waiters: Semaphore,
    dry_run_rate: dry_run::RateLimiter,
    /// How long after a batch came PostgreSQL may begin to store it. Whatever it has begun it ends within its own timeout,
    /// and all that before the response's deadline (contract §1).
    store_within: Duration,
    /// How long after a batch came its open outcome may be asked after: longer than `store_within`, shorter than the response's
    /// deadline.
    settle_within: Duration,
    /// `limits.answer_bytes`
    answer_bytes: usize,
    kept_today: journal::KeptToday,
    disk: Option<DiskWatch>,
    /// The service stops, and has waited long enough for the batches that it had.
    stopped: AtomicBool,
    hasher: KeyHasher,
}

#[derive(Debug)]
pub struct RawBatch {
    pub publication: Arc<Publication>,
    pub request_id: String,
    pub login: Option<String>,
    /// A JSON array, UTF-8.
    pub body: String,
    pub elements: Vec<Range<usize>>,
    /// Of the messages in the response.
    pub language: Language,
    /// What it holds already. The response takes it over.
    pub memory: Reservation,
    /// When its body was complete: the time for its response runs from then.
    pub complete_at: Instant,
}

/// The response to a batch that was processed, whatever became of each order.
#[derive(Debug)]
pub struct Reply {
    /// The whole response, JSON, in pieces that belong one behind the other.
    pub body: Vec<Vec<u8>>,
    pub verdicts: Verdicts,
    /// What it waited for: its turn, then its transaction's reading, deciding and writing.
    pub stages: Vec<Stage>,
    /// To be held until the response is sent.
    pub memory: Reservation,
}

/// Why a batch could not be processed. Nothing of it is stored; sending it again is safe (contract §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("overloaded")]
    Overloaded,
    /// The database is away, or did not take the batch as a whole.
    #[error("storage unavailable")]
    Storage,
    /// The response would be longer than this (`limits.answer_bytes`), and would be so again.
    #[error("the answer would take more than {0} bytes: send fewer orders at a time")]
    AnswerTooLarge(usize),
}

impl From<QueueFull> for Unavailable {
    fn from(_: QueueFull) -> Self {
        Self::Overloaded
    }
}

impl From<tokio::task::JoinError> for Unavailable {
    fn from(_: tokio::task::JoinError) -> Self {
        Self::Storage
    }
}

impl Intake {
    /// An intake that writes to `store`, within the times and limits of `config`, and counts what it does.
    pub fn new(store: Store, config: &Config, metrics: Arc<Metrics>) -> Self {
        let times = &config.times;
        let to_store = times
            .answer
            .saturating_sub(config.database.statement_timeout);
        Self {
            inner: Arc::new(Inner {
                store,
                metrics,
                numbers: Reserve::default(),
                lanes: Lanes::new(config.limits.waiting_batches, config.limits.coalesce),
                gates: Gates::new(),
                lock_waiters: Semaphore::new((config.database.connections / 3).max(1) as usize),
                dry_run_rate: dry_run::RateLimiter::new(config.limits.dry_runs_per_minute),
                store_within: to_store * 9 / 10,
                settle_within: times.answer * 9 / 10,
                answer_bytes: config.limits.answer_bytes,
                kept_today: journal::KeptToday::new(config.journal.rejected_bytes_per_day),
                disk: (config.database.url.is_none())
                    .then(|| DiskWatch::new(&config.database.data_dir)),
                stopped: AtomicBool::new(false),
                hasher: KeyHasher::default(),
            }),
        }
    }

    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// By publication that sent something: batches that wait, and transactions under way.
    pub fn lanes(&self) -> Vec<(String, usize, usize)> {
        self.inner.lanes.lengths()
    }

    /// Makes all deciding end, however much of it is left, for nobody waits for the responses any more.
    pub fn stop(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
    }

    /// Processes a batch: when this returns `Ok`, what it says is committed (contract §7); else nothing of it is stored.
    ///
    /// The database work runs in a task of its own, so dropping this future half-way harms nothing.
    pub async fn accept(&self, batch: RawBatch) -> Result<Reply, Unavailable> {
        let inner = &self.inner;
        if inner.space() == Space::Full {
            return Err(Unavailable::Storage);
        }
        let size = Size::of(&batch.body);
        let _permit = inner.gates.pass(batch.memory.share(), &batch.body).await?;
        let reader = Arc::clone(inner);
        let (job, keys) = size.run(move || Job::read(batch, &reader)).await?;
        let (responder, response) = oneshot::channel();
        group::submit(inner, job, keys, responder)?;
        // A responder that is dropped without a word died in a panic: nothing of the batch is known to be stored.
        response.await.unwrap_or(Err(Unavailable::Storage))
    }
}

impl Inner {
    /// Whether work that must be done by then may go on.
    fn may_go_on(&self, until: Instant) -> bool {
        !self.stopped.load(Ordering::Relaxed) && Instant::now() < until
    }

    fn space(&self) -> Space {
        self.disk.as_ref().map_or(Space::Enough, DiskWatch::space)
    }

    /// How many bytes the journal may take besides the receipts of what is stored.
    async fn journal_room(&self, publication: &str) -> usize {
        match self.space() {
            Space::Enough => self.kept_today.bytes_left(&self.store, publication).await,
            Space::Scarce | Space::Full => 0,
        }
    }

    /// Notes what is in the journal now, and how many orders were not kept there.
    fn journaled(&self, publication: &str, write: &Write<'_>, not_kept: usize) {
        self.kept_today.add(publication, write);
        if not_kept > 0 {
            self.metrics.not_kept(publication, not_kept);
        }
    }
}
