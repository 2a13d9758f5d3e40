//! Small batches that wait together share a transaction.
//!
//! Each publication has a lane. There is no timer: a writer that is free takes whatever waits, and a lone order waits
//! for nobody. Batches that share an order, a client or a guest's phone keep their order of arrival: one that shares
//! with a batch being written, or with one that waits before it, waits too. Big batches go by themselves, beside.
//!
//! Most batches change no client, though the same clients order again and again: once a transaction knows which clients
//! it leaves as they are, nobody waits for those any longer. A big batch takes a while to know; small ones do not wait
//! for that, for a lone order is somebody at a counter. Should one of them change a client that the big one changes too,
//! one of the two is overtaken and starts again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{Claims, Done, Inner, Job, Unavailable, transaction};

/// A batch of more orders than this goes by itself.
const SMALL_BATCH: usize = 100;
/// The most orders that small batches bring together into one transaction.
const GROUP: usize = 500;
/// How many transactions of small batches a publication has under way.
const SMALL_WRITERS: usize = 2;
/// How many big ones. More would only get into each other's way.
const BIG_WRITERS: usize = 2;
/// When so many claims are known to wait, what comes behind waits as well: looking further would cost more than it
/// gains.
const FAR_ENOUGH: usize = 20_000;

/// Who gets the answer to a job.
type Answer = oneshot::Sender<Result<Done, Unavailable>>;

/// The lanes of all publications.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Mutex<HashMap<String, Lane>>,
    most_waiting: usize,
    /// Whether small batches share transactions at all (`limits.coalesce`).
    coalesce: bool,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<(Job, Answer)>,
    /// Claims of what is being written.
    busy: HashSet<u64>,
    /// Claims on clients of big batches that are not decided on yet: other big ones wait for those.
    undecided: HashSet<u64>,
    small: usize,
    big: usize,
}

impl Lanes {
    pub(super) fn new(most_waiting: usize, coalesce: bool) -> Self {
        Self {
            lanes: Mutex::default(),
            most_waiting,
            coalesce,
        }
    }

    /// By publication: batches that wait, and transactions under way.
    pub(super) fn lengths(&self) -> Vec<(String, usize, usize)> {
        self.lock()
            .iter()
            .map(|(name, lane)| (name.clone(), lane.waiting.len(), lane.small + lane.big))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        // Nothing under this lock can leave a lane half changed.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_big(job: &Job) -> bool {
    job.elements.len() > SMALL_BATCH
}

/// Lets a job wait its turn.
pub(super) fn submit(inner: &Arc<Inner>, job: Job, answer: Answer) -> Result<(), Unavailable> {
    let publication = job.publication.name.clone();
    let mut lanes = inner.lanes.lock();
    let lane = lanes.entry(publication.clone()).or_default();
    if lane.waiting.len() >= inner.lanes.most_waiting {
        return Err(Unavailable::Overloaded);
    }
    lane.waiting.push_back((job, answer));
    lane.start(inner, &publication);
    Ok(())
}

impl Lane {
    /// Starts as many writers as may run on what waits.
    fn start(&mut self, inner: &Arc<Inner>, publication: &str) {
        while let Some(group) = self.next_group(inner.lanes.coalesce) {
            let big = is_big(&group[0].0);
            let mut claims = Claims::default();
            for (job, _) in &group {
                claims.extend(&job.claims);
            }
            *if big { &mut self.big } else { &mut self.small } += 1;
            self.busy.extend(&claims.orders);
            let clients = if big {
                &mut self.undecided
            } else {
                &mut self.busy
            };
            clients.extend(&claims.clients);
            let under_way = UnderWay {
                inner: Arc::clone(inner),
                publication: publication.to_owned(),
                claims: Mutex::new(claims),
                big,
            };
            tokio::spawn(async move {
                let (jobs, answers): (Vec<_>, Vec<_>) = group
                    .into_iter()
                    .map(|(job, to)| (Arc::new(job), to))
                    .unzip();
                let results = transaction::store(&under_way, &jobs).await;
                // The next group starts before the answers are written.
                drop(under_way);
                for (answer, result) in answers.into_iter().zip(results) {
                    // A caller that hung up does not hear what became of its batch; it is stored all the same.
                    let _ = answer.send(result);
                }
            });
        }
    }

    /// Lets go of a client that a big or a small batch holds.
    fn give_up(&mut self, claim: u64, big: bool) {
        if !(big && self.undecided.remove(&claim)) {
            self.busy.remove(&claim);
        }
    }

    /// Takes the jobs of the next transaction out of the queue.
    fn next_group(&mut self, coalesce: bool) -> Option<Vec<(Job, Answer)>> {
        let mut group: Vec<(Job, Answer)> = Vec::new();
        let mut orders = 0;
        // What waits before, and may not be overtaken.
        let mut blocked: HashSet<u64> = HashSet::new();
        let mut blocked_for_big: HashSet<u64> = HashSet::new();
        let mut at = 0;
        while let Some((job, _)) = self.waiting.get(at) {
            let Claims {
                orders: theirs,
                clients,
            } = &job.claims;
            let is_taken = |claim| self.busy.contains(claim) || blocked.contains(claim);
            let is_taken_from_big =
                |claim| self.undecided.contains(claim) || blocked_for_big.contains(claim);
            let clashes = theirs.iter().chain(clients).any(is_taken)
                || (is_big(job) && clients.iter().any(is_taken_from_big));
            let room = match (is_big(job), group.is_empty()) {
                (true, empty) => empty && self.big < BIG_WRITERS,
                (false, true) => self.small < SMALL_WRITERS,
                (false, false) => orders + job.elements.len() <= GROUP,
            };
            if clashes || !room {
                blocked.extend(theirs);
                if is_big(job) {
                    blocked_for_big.extend(clients);
                } else {
                    blocked.extend(clients);
                }
                if blocked.len() + blocked_for_big.len() > FAR_ENOUGH {
                    break;
                }
                at += 1;
                continue;
            }
            orders += job.elements.len();
            let big = is_big(job);
            group.extend(self.waiting.remove(at));
            if big || !coalesce {
                break;
            }
        }
        (!group.is_empty()).then_some(group)
    }
}

/// A transaction under way. Dropping it, by a panic too, frees its claims and starts what waits.
pub(super) struct UnderWay {
    pub(super) inner: Arc<Inner>,
    publication: String,
    claims: Mutex<Claims>,
    big: bool,
}

impl UnderWay {
    /// It is decided: gives up claims on the clients that it will not change after all, so that others need not wait for
    /// its end.
    pub(super) fn release(&self, unchanged: impl Iterator<Item = u64>) {
        let mut held = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lanes = self.inner.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.publication) else {
            return;
        };
        for claim in unchanged {
            if held.clients.remove(&claim) {
                lane.give_up(claim, self.big);
            }
        }
        if self.big {
            for claim in &held.clients {
                lane.undecided.remove(claim);
                lane.busy.insert(*claim);
            }
        }
        lane.start(&self.inner, &self.publication);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut lanes = self.inner.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.publication) else {
            return;
        };
        let held = self
            .claims
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for claim in &held.orders {
            lane.busy.remove(claim);
        }
        for claim in &held.clients {
            lane.give_up(*claim, self.big);
        }
        *if self.big {
            &mut lane.big
        } else {
            &mut lane.small
        } -= 1;
        lane.start(&self.inner, &self.publication);
    }
}
