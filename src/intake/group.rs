//! Carries out what the lanes decide: stores the batches of a group, together if it can, and answers them.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    Inner, Unavailable,
    attempt::{Failure, Options, Progress},
    conflict::ConflictKeys,
    isolate::store_alone,
    job::{Answer, Job, Pending, Responder},
    lanes::{Lane, LaneFull, Ready, Waiting},
    settle::Open,
    transaction::transact,
};
use crate::{
    config::Publication, order::decide::Decision, telemetry::metrics::Retry, threads::block_if_many,
};

/// So long a transaction that keeps others waiting waits for somebody's lock. Other writers hold theirs for as long as the
/// disk takes.
const LOCK_PATIENCE: Duration = Duration::from_millis(250);

/// Queues a job in its publication's lane.
pub fn submit(
    inner: &Arc<Inner>,
    job: Job,
    keys: ConflictKeys,
    responder: Responder,
) -> Result<(), Unavailable> {
    let job = Arc::new(job);
    let publication = Arc::clone(&job.publication);
    let waiting = Waiting {
        keys,
        orders: job.elements.len(),
        wide_network: job.wide_network,
        since: job.queued_at,
        until: job.store_until,
        met_lock: false,
        batch: Pending { job, responder },
    };
    let submitted = inner.lanes.submit(&publication.name, waiting);
    let (displaced, ready) = submitted.map_err(|LaneFull| Unavailable::Overloaded)?;
    start(inner, &publication, ready);
    if let Some(displaced) = displaced {
        // A caller that hung up hears nothing.
        let _ = displaced.responder.send(Err(Unavailable::Overloaded));
    }
    Ok(())
}

fn start(inner: &Arc<Inner>, publication: &Arc<Publication>, ready: Ready<Pending>) {
    for group in ready.groups {
        let under_way = UnderWay {
            inner: Arc::clone(inner),
            publication: Arc::clone(publication),
            id: group.id,
            is_patient: group.is_patient,
            is_over: false,
        };
        tokio::spawn(store_and_answer(under_way, group.waiting));
    }
    for late in ready.late {
        let _ = late.responder.send(Err(Unavailable::Storage));
    }
}

/// A group that is being stored. Dropped before its end, by a panic, it frees its keys and starts what waits.
struct UnderWay {
    inner: Arc<Inner>,
    publication: Arc<Publication>,
    /// By which the lane knows it.
    id: u64,
    is_patient: bool,
    is_over: bool,
}

impl UnderWay {
    fn lane<R>(&self, work: impl FnOnce(&mut Lane<Pending>) -> R) -> R {
        self.inner.lanes.lane(&self.publication.name, work)
    }

    /// Changes its lane, and starts what may be written then.
    fn change_lane(&self, change: impl FnOnce(&mut Lane<Pending>)) {
        let ready = self.inner.lanes.change(&self.publication.name, change);
        start(&self.inner, &self.publication, ready);
    }

    /// It is over. The batches in `again` are to be tried again, by a patient writer.
    fn end(mut self, again: Vec<Waiting<Pending>>) {
        self.is_over = true;
        self.change_lane(|lane| lane.end(self.id, again));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if thread::panicking() {
            self.change_lane(|lane| lane.end(self.id, Vec::new()));
        } else {
            // The runtime shuts down, and nothing starts in it any more.
            self.lane(|lane| lane.end(self.id, Vec::new()));
        }
    }
}

async fn store_and_answer(under_way: UnderWay, group: Vec<Waiting<Pending>>) {
    let inner = &*under_way.inner;
    // Those who may wait long for locks take turns among all publications.
    let mut permit = None;
    if under_way.is_patient {
        permit = inner.lock_waiters.acquire().await.ok();
    }
    let (answers, open) = Storing::new(&under_way, &group).store().await;
    drop(permit);
    let mut responses = Vec::with_capacity(group.len());
    let mut answered = Vec::with_capacity(group.len());
    let mut again = Vec::new();
    for (waiting, answer) in group.into_iter().zip(answers) {
        match answer {
            Some(answer) => {
                let Pending { job, responder } = waiting.batch;
                responses.push((responder, answer));
                answered.push(job);
            }
            None => again.push(Waiting {
                met_lock: true,
                ..waiting
            }),
        }
    }
    let respond = || {
        for (responder, response) in responses {
            // A caller that hung up does not hear what became of its batch; it is stored all the same.
            let _ = responder.send(response);
        }
    };
    if open.is_empty() {
        // The next group starts before the responses are written.
        under_way.end(again);
        respond();
        // Freeing their many texts takes a while, and no caller need wait for that.
        let orders = answered.iter().map(|job| job.elements.len()).sum();
        block_if_many(orders, || drop(answered));
        return;
    }
    // What was cut off may yet be stored: until that is settled, whatever conflicts with it waits.
    respond();
    under_way.change_lane(|lane| lane.leave_writer(under_way.id));
    for open in open {
        open.settle(&inner.store, &inner.lock_waiters).await;
    }
    under_way.end(again);
}

/// How to go on with batches that could not be stored together.
enum GoOn {
    /// Without these, which are answered. The others have time left, and memory.
    Without(Vec<usize>),
    /// With each by itself.
    Apart,
}

struct Storing<'a> {
    under_way: &'a UnderWay,
    group: &'a [Waiting<Pending>],
    /// `None` where somebody's lock stands in a batch's way: it is to be tried again, with more patience.
    answers: Vec<Option<Answer>>,
    /// Transactions whose outcome is open: they were answered 503, and may yet be stored.
    open: Vec<Open>,
}

impl<'a> Storing<'a> {
    fn new(under_way: &'a UnderWay, group: &'a [Waiting<Pending>]) -> Self {
        Self {
            under_way,
            group,
            answers: group
                .iter()
                .map(|_| Some(Err(Unavailable::Storage)))
                .collect(),
            open: Vec::new(),
        }
    }

    /// Stores the group: all batches together, or else each by itself. Returns what became of each.
    async fn store(mut self) -> (Vec<Option<Answer>>, Vec<Open>) {
        let metrics = &self.under_way.inner.metrics;
        // A batch that made way for a lock was counted when it was first here.
        if !self.under_way.is_patient {
            for waiting in self.group {
                metrics.queue.observe(waiting.since.elapsed().as_secs_f64());
            }
        }
        if self.group.len() > 1 {
            metrics.coalesced_batches.inc_by(self.group.len() as u64);
        }
        let mut left: Vec<usize> = (0..self.group.len()).collect();
        while !left.is_empty() {
            match self.together(&left).await {
                Ok(()) => break,
                Err(GoOn::Without(answered)) => left.retain(|at| !answered.contains(at)),
                Err(GoOn::Apart) => {
                    self.apart(&left).await;
                    break;
                }
            }
        }
        (self.answers, self.open)
    }

    /// Stores batches in one transaction.
    async fn together(&mut self, left: &[usize]) -> Result<(), GoOn> {
        let under_way = self.under_way;
        let inner = &*under_way.inner;
        let jobs = left.iter().map(|at| Arc::clone(&self.group[*at].batch.job));
        let jobs: Vec<Arc<Job>> = jobs.collect();
        let first = &self.group[left[0]];
        let on_progress = |progress: Progress<'_>| match progress {
            Progress::Decided(decision) => {
                let unchanged = unchanged_clients(inner, decision);
                under_way.change_lane(|lane| lane.decided(under_way.id, unchanged));
            }
            Progress::Again(attempts) => {
                under_way.lane(|lane| lane.lost_race(under_way.id, first, attempts));
            }
        };
        let options = Options {
            lock_patience: self.lock_patience(),
            on_progress: Some(&on_progress),
            ..Options::default()
        };
        let failure = match transact(inner, &jobs, &options).await {
            Ok(answers) => {
                for (at, answer) in left.iter().zip(answers) {
                    self.is_stored(*at, answer);
                }
                return Ok(());
            }
            Err(failure) => failure,
        };
        let is_shared = left.len() > 1;
        match failure {
            Failure::Late => {
                let now = Instant::now();
                let until = |at: &usize| self.group[*at].until;
                // By the database's clock the first one's time was up a little earlier.
                let first = left.iter().copied().min_by_key(until);
                let is_late = |at: &usize| now >= until(at) || Some(*at) == first;
                Err(GoOn::Without(
                    left.iter().copied().filter(is_late).collect(),
                ))
            }
            Failure::NoResponse(index, _) => {
                self.failed(left[index], &failure);
                Err(GoOn::Without(vec![left[index]]))
            }
            // Nobody pays for another's fault, and nobody waits for what another wants.
            Failure::Refused => {
                inner.metrics.retried(Retry::Refused);
                Err(GoOn::Apart)
            }
            Failure::Locked if is_shared => {
                inner.metrics.retried(Retry::Locked);
                Err(GoOn::Apart)
            }
            Failure::TooMuch if is_shared => Err(GoOn::Apart),
            failure => {
                for at in left {
                    self.failed(*at, &failure);
                }
                if let Failure::Open(open) = failure {
                    self.open.push(open);
                }
                Ok(())
            }
        }
    }

    /// Stores each batch by itself, in their order.
    async fn apart(&mut self, left: &[usize]) {
        let mut locked = ConflictKeys::default();
        for at in left {
            let Waiting { keys, batch, .. } = &self.group[*at];
            // It must not overtake one that makes way for a lock.
            if keys.conflicts_with(&locked) {
                self.failed(*at, &Failure::Locked);
                continue;
            }
            let patience = self.lock_patience();
            match store_alone(&self.under_way.inner, &batch.job, patience).await {
                Ok(answer) => self.is_stored(*at, answer),
                Err(failure) => {
                    self.failed(*at, &failure);
                    match failure {
                        Failure::Locked => locked.extend(keys),
                        Failure::Open(open) => self.open.push(open),
                        _ => {}
                    }
                }
            }
        }
    }

    /// `None`: as long as `lock_timeout` says.
    fn lock_patience(&self) -> Option<Duration> {
        (!self.under_way.is_patient).then_some(LOCK_PATIENCE)
    }

    fn is_stored(&mut self, at: usize, answer: Answer) {
        if let Ok(reply) = &answer {
            let publication = &self.under_way.publication.name;
            let metrics = &self.under_way.inner.metrics;
            metrics.processed(publication, &reply.verdicts);
        }
        if self.under_way.is_patient {
            let waiting = &self.group[at];
            self.under_way.lane(|lane| lane.met_no_lock(waiting));
        }
        self.answers[at] = Some(answer);
    }

    fn failed(&mut self, at: usize, failure: &Failure) {
        if let Failure::Locked = failure {
            let waiting = &self.group[at];
            self.under_way.lane(|lane| lane.met_lock(waiting));
            if !self.under_way.is_patient {
                self.answers[at] = None;
                return;
            }
        }
        let why = match failure {
            Failure::NoResponse(_, why) => *why,
            Failure::TooMuch => Unavailable::AnswerTooLarge(self.under_way.inner.answer_bytes),
            _ => Unavailable::Storage,
        };
        self.answers[at] = Some(Err(why));
    }
}

fn unchanged_clients(inner: &Inner, decision: &Decision<'_>) -> impl Iterator<Item = u64> {
    let unchanged = decision
        .clients
        .iter()
        .filter(|record| record.is_unchanged());
    unchanged.flat_map(|record| {
        let client = &record.after;
        let guest_phone = client.guest_phone.as_deref();
        let id = client.sender_id.as_deref();
        inner.hasher.client(id, Some(client.number), guest_phone)
    })
}
