//! Small batches that wait together share a transaction.
//!
//! Each publication has a lane. There is no timer: a writer that is free takes whatever waits, and a lone order waits
//! for nobody. Batches that share an order, a client or a guest's phone keep their order of arrival: one that shares
//! with a batch being written, or with one that waits before it, waits too. Batches that name the same order never share
//! a transaction: its history has a row for each of them. Big batches go by themselves, beside.
//!
//! Most batches change no client, though the same clients order again and again: once a transaction knows which clients
//! it leaves as they are, nobody waits for those any longer. A big batch takes a while to know; small ones do not wait
//! for that, for a lone order is somebody at a counter. Should one of them change a client that the big one changes too,
//! one of the two is overtaken and starts again. Who lets others by is served in the end: small ones wait for the
//! clients of a big batch that has waited for [`LETS_BY`], or was overtaken more than once.
//!
//! Somebody's lock on a row (an import, a forgotten `psql`) stops nobody but the batches that want that row: after a
//! short wait such a batch makes way and is tried apart from the others, with more patience, as is whatever names the
//! same records soon after.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    Claims, Done, Inner, Job, Unavailable,
    transaction::{self, Outcome},
};

/// A batch of more orders than this goes by itself.
const SMALL_BATCH: usize = 100;
/// The most orders that small batches bring together into one transaction.
const GROUP: usize = 500;
/// How many transactions of small batches a publication has under way.
const SMALL_WRITERS: usize = 2;
/// How many big ones. More would only get into each other's way.
const BIG_WRITERS: usize = 2;
/// How many batches that wait for somebody's lock.
const APART_WRITERS: usize = 2;
/// How many transactions with an open outcome leave their place to others. More of them and the database is in no state
/// to be sent more.
const MOST_OPEN: usize = 4;
/// So long a big batch lets small ones by.
const LETS_BY: Duration = Duration::from_secs(2);
/// What a lock stood in the way of is tried apart for so long.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Of so many records at most that is remembered.
const MOST_REMEMBERED: usize = 10_000;
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
    /// Of all publications together: those that wait for locks must leave connections to the others.
    apart: Arc<Semaphore>,
}

#[derive(Debug)]
struct Waiting {
    job: Arc<Job>,
    answer: Answer,
    /// Somebody's lock stood in its way.
    apart: bool,
}

/// Which of a publication's writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Small,
    Big,
    Apart,
}

/// What goes into one transaction.
#[derive(Debug)]
struct Group {
    waiting: Vec<Waiting>,
    writer: Writer,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    /// Claims of what is being written.
    busy: HashSet<u64>,
    /// Claims on clients of big batches that are not decided on yet: other big ones wait for those.
    undecided: HashSet<u64>,
    /// Claims on clients of a big batch that was overtaken, which lets nobody by any more; of one at a time.
    insisted: HashSet<u64>,
    /// Claims of batches that a lock stood in the way of, and until when that is remembered.
    locked: HashMap<u64, Instant>,
    small: usize,
    big: usize,
    apart: usize,
    /// Transactions with an open outcome.
    open: usize,
}

impl Lanes {
    /// `apart`: how many batches may wait for locks at the same time, of all publications.
    pub(super) fn new(most_waiting: usize, coalesce: bool, apart: usize) -> Self {
        Self {
            lanes: Mutex::default(),
            most_waiting,
            coalesce,
            apart: Arc::new(Semaphore::new(apart)),
        }
    }

    /// By publication: batches that wait, and transactions under way.
    pub(super) fn lengths(&self) -> Vec<(String, usize, usize)> {
        self.lock()
            .iter()
            .map(|(name, lane)| {
                let under_way = lane.small + lane.big + lane.apart;
                (name.clone(), lane.waiting.len(), under_way)
            })
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
    let mut made_room = None;
    if lane.waiting.len() >= inner.lanes.most_waiting {
        let room = lane.make_room(job.wide_network);
        made_room = Some(room.ok_or(Unavailable::Overloaded)?);
    }
    lane.waiting.push_back(Waiting {
        job: Arc::new(job),
        answer,
        apart: false,
    });
    let ready = lane.start(inner, &publication);
    drop(lanes);
    ready.run();
    if let Some(Waiting { answer, .. }) = made_room {
        // A caller that hung up does not hear it.
        let _ = answer.send(Err(Unavailable::Overloaded));
    }
    Ok(())
}

/// What is to be done once the lanes' lock is given back. A runtime that shuts down drops a task the moment it is
/// spawned, and dropping a transaction takes that lock.
#[must_use]
#[derive(Debug, Default)]
struct Ready {
    groups: Vec<(UnderWay, Vec<Waiting>)>,
    late: Vec<Answer>,
}

impl Ready {
    fn run(self) {
        for (under_way, group) in self.groups {
            tokio::spawn(write(under_way, group));
        }
        for answer in self.late {
            // A caller that hung up does not hear it.
            let _ = answer.send(Err(Unavailable::Storage));
        }
    }
}

async fn write(mut under_way: UnderWay, group: Vec<Waiting>) {
    let turn = under_way.turn().await;
    let (jobs, answers): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|waiting| (waiting.job, waiting.answer))
        .unzip();
    let transaction::Written { outcomes, open } = transaction::store(&under_way, &jobs).await;
    drop(turn);
    let mut answered = Vec::with_capacity(answers.len());
    let mut apart = Vec::new();
    for ((job, answer), outcome) in jobs.into_iter().zip(answers).zip(outcomes) {
        match outcome {
            Outcome::Answer(result) => answered.push((answer, result)),
            Outcome::Locked => apart.push(Waiting {
                job,
                answer,
                apart: true,
            }),
        }
    }
    let answer = || {
        for (answer, result) in answered {
            // A caller that hung up does not hear what became of its batch; it is stored all the same.
            let _ = answer.send(result);
        }
    };
    if open.is_empty() {
        // The next group starts before the answers are written.
        under_way.end(apart);
        answer();
        return;
    }
    // What was cut off may yet land: until that is settled nobody comes by who shares a record with it.
    answer();
    under_way.wait_beside();
    for open in open {
        let Inner { store, lanes, .. } = &*under_way.inner;
        open.settle(store, &lanes.apart).await;
    }
    under_way.end(apart);
}

impl Lane {
    /// Starts as many writers as may run on what waits.
    fn start(&mut self, inner: &Arc<Inner>, publication: &str) -> Ready {
        let mut ready = Ready::default();
        let now = Instant::now();
        let is_late = |job: &Job| now >= job.taken_at + inner.store_within;
        while let Some(group) = self.next_group(inner.lanes.coalesce, now, is_late, &mut ready.late)
        {
            let Group { waiting, writer } = group;
            let big = is_big(&waiting[0].job);
            let mut claims = Claims::default();
            for waiting in &waiting {
                claims.extend(&waiting.job.claims);
            }
            *self.writers(writer) += 1;
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
                held: Mutex::new(Held {
                    claims,
                    insists: false,
                }),
                big,
                writer,
                place: Place::Writer,
            };
            ready.groups.push((under_way, waiting));
        }
        ready
    }

    /// Where too many wait: whoever came last of the network that has most of them waiting makes room for a newcomer of a
    /// network that has fewer.
    fn make_room(&mut self, newcomer: u64) -> Option<Waiting> {
        let mut crowds: HashMap<u64, usize> = HashMap::new();
        for waiting in &self.waiting {
            *crowds.entry(waiting.job.wide_network).or_default() += 1;
        }
        let own = crowds.get(&newcomer).copied().unwrap_or(0);
        let (crowd, size) = crowds.into_iter().max_by_key(|(_, size)| *size)?;
        let is_of_it = |waiting: &Waiting| waiting.job.wide_network == crowd;
        let last = self.waiting.iter().rposition(is_of_it)?;
        (size > own + 1)
            .then(|| self.waiting.remove(last))
            .flatten()
    }

    fn writers(&mut self, writer: Writer) -> &mut usize {
        match writer {
            Writer::Small => &mut self.small,
            Writer::Big => &mut self.big,
            Writer::Apart => &mut self.apart,
        }
    }

    /// Lets go of a client that a big or a small batch holds.
    fn give_up(&mut self, claim: u64, big: bool) {
        if !(big && self.undecided.remove(&claim)) {
            self.busy.remove(&claim);
        }
    }

    /// Whether a lock stood in the way of one of these lately.
    fn was_locked(&self, claims: &Claims, now: Instant) -> bool {
        let is_remembered = |claim| self.locked.get(claim).is_some_and(|until| now < *until);
        !self.locked.is_empty()
            && claims
                .orders
                .iter()
                .chain(&claims.clients)
                .any(is_remembered)
    }

    fn remember_locked(&mut self, claims: &Claims, now: Instant) {
        self.locked.retain(|_, until| now < *until);
        for claim in claims.orders.iter().chain(&claims.clients) {
            if self.locked.len() >= MOST_REMEMBERED {
                break;
            }
            self.locked.insert(*claim, now + REMEMBERED);
        }
    }

    /// Takes the jobs of the next transaction out of the queue; and those that are late, for which there is no more to
    /// do than to say so.
    fn next_group(
        &mut self,
        coalesce: bool,
        now: Instant,
        is_late: impl Fn(&Job) -> bool,
        late: &mut Vec<Answer>,
    ) -> Option<Group> {
        let mut group: Vec<Waiting> = Vec::new();
        let mut writer = Writer::Small;
        let mut orders = 0;
        let mut named: HashSet<u64> = HashSet::new();
        // What waits before, and may not be overtaken.
        let mut blocked: HashSet<u64> = HashSet::new();
        let mut blocked_for_big: HashSet<u64> = HashSet::new();
        let mut at = 0;
        while let Some(Waiting { job, apart, .. }) = self.waiting.get(at) {
            if is_late(job) {
                late.extend(self.waiting.remove(at).map(|waiting| waiting.answer));
                continue;
            }
            let Claims {
                orders: theirs,
                clients,
            } = &job.claims;
            let is_taken = |claim| {
                self.busy.contains(claim)
                    || self.insisted.contains(claim)
                    || blocked.contains(claim)
            };
            let is_taken_from_big =
                |claim| self.undecided.contains(claim) || blocked_for_big.contains(claim);
            let clashes = theirs.iter().chain(clients).any(is_taken)
                || theirs.iter().any(|claim| named.contains(claim))
                || (is_big(job) && clients.iter().any(is_taken_from_big));
            let its_writer = if *apart || self.was_locked(&job.claims, now) {
                Writer::Apart
            } else if is_big(job) {
                Writer::Big
            } else {
                Writer::Small
            };
            let room = match (its_writer, group.is_empty()) {
                (Writer::Apart, empty) => empty && self.apart < APART_WRITERS,
                (Writer::Big, empty) => empty && self.big < BIG_WRITERS,
                (Writer::Small, true) => self.small < SMALL_WRITERS,
                (Writer::Small, false) => orders + job.elements.len() <= GROUP,
            };
            if clashes || !room {
                blocked.extend(theirs);
                let lets_by = is_big(job) && now < job.submitted_at + LETS_BY;
                if lets_by {
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
            named.extend(theirs);
            writer = its_writer;
            group.extend(self.waiting.remove(at));
            if writer != Writer::Small || !coalesce {
                break;
            }
        }
        (!group.is_empty()).then_some(Group {
            waiting: group,
            writer,
        })
    }
}

/// A transaction under way. Dropping it, by a panic too, frees its claims and starts what waits.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) inner: Arc<Inner>,
    publication: String,
    held: Mutex<Held>,
    big: bool,
    writer: Writer,
    place: Place,
}

#[derive(Debug)]
struct Held {
    claims: Claims,
    /// Whether the lane's `insisted` is its own.
    insists: bool,
}

/// What a transaction takes up in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// One of the writers.
    Writer,
    /// Its claims only, while its outcome is open.
    Beside,
    /// Nothing: it is over.
    None,
}

impl UnderWay {
    /// Whether it may wait for somebody's lock, for it keeps nobody else waiting.
    pub(super) fn is_apart(&self) -> bool {
        self.writer == Writer::Apart
    }

    /// Those that may wait long take turns among all publications.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        if self.is_apart() {
            Arc::clone(&self.inner.lanes.apart)
                .acquire_owned()
                .await
                .ok()
        } else {
            None
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is decided: gives up claims on the clients that it will not change after all, so that others need not wait for
    /// its end.
    pub(super) fn release(&self, unchanged: impl Iterator<Item = u64>) {
        let mut held = self.held();
        let mut lanes = self.inner.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.publication) else {
            return;
        };
        for claim in unchanged {
            if held.claims.clients.remove(&claim) {
                lane.give_up(claim, self.big);
            }
        }
        if self.big {
            for claim in &held.claims.clients {
                lane.undecided.remove(claim);
                lane.busy.insert(*claim);
            }
        }
        let ready = lane.start(&self.inner, &self.publication);
        drop(lanes);
        drop(held);
        ready.run();
    }

    /// It was overtaken again. Small ones that change its clients would overtake a big batch, which reads and decides
    /// for long, for ever: from now on those that are not under way yet wait.
    pub(super) fn insist(&self, job: &Job) {
        if !self.big {
            return;
        }
        let mut held = self.held();
        let mut lanes = self.inner.lanes.lock();
        if let Some(lane) = lanes.get_mut(&self.publication)
            && lane.insisted.is_empty()
        {
            lane.insisted.extend(&job.claims.clients);
            held.insists = true;
        }
    }

    /// Somebody's lock stands in the way of a batch of it.
    pub(super) fn was_locked(&self, job: &Job) {
        // Of a big one nearly all records are free.
        if is_big(job) {
            return;
        }
        if let Some(lane) = self.inner.lanes.lock().get_mut(&self.publication) {
            lane.remember_locked(&job.claims, Instant::now());
        }
    }

    /// It is stored: no lock stands in its way any more.
    pub(super) fn is_free(&self, job: &Job) {
        if let Some(lane) = self.inner.lanes.lock().get_mut(&self.publication) {
            for claim in job.claims.orders.iter().chain(&job.claims.clients) {
                lane.locked.remove(claim);
            }
        }
    }

    /// Its outcome is open: it leaves its place to others, and keeps its claims.
    fn wait_beside(&mut self) {
        let mut lanes = self.inner.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.publication) else {
            return;
        };
        if lane.open >= MOST_OPEN {
            return;
        }
        lane.open += 1;
        *lane.writers(self.writer) -= 1;
        self.place = Place::Beside;
        let ready = lane.start(&self.inner, &self.publication);
        drop(lanes);
        ready.run();
    }

    /// It is over; these of its jobs are to be tried apart.
    fn end(mut self, apart: Vec<Waiting>) {
        let ready = self.free(apart, true);
        ready.run();
    }

    fn free(&mut self, apart: Vec<Waiting>, start: bool) -> Ready {
        let place = mem::replace(&mut self.place, Place::None);
        if place == Place::None {
            return Ready::default();
        }
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut lanes = self.inner.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.publication) else {
            return Ready::default();
        };
        if place == Place::Beside {
            lane.open -= 1;
        } else {
            *lane.writers(self.writer) -= 1;
        }
        for claim in &held.claims.orders {
            lane.busy.remove(claim);
        }
        for claim in &held.claims.clients {
            lane.give_up(*claim, self.big);
        }
        if held.insists {
            lane.insisted.clear();
        }
        // Before what came later.
        for waiting in apart.into_iter().rev() {
            lane.waiting.push_front(waiting);
        }
        if start {
            lane.start(&self.inner, &self.publication)
        } else {
            Ready::default()
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Dropped before its end without a panic, it is in a runtime that shuts down, where nothing starts any more.
        let ready = self.free(Vec::new(), thread::panicking());
        ready.run();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::Utc;

    use super::*;
    use crate::{
        config::{Config, Environment},
        order::wire,
    };

    /// A lane in which these wait, in their order.
    fn lane(waiting: impl IntoIterator<Item = Waiting>) -> Lane {
        Lane {
            waiting: waiting.into_iter().collect(),
            ..Lane::default()
        }
    }

    /// A batch of so many elements that names these; it has waited for so many seconds.
    fn waiting(elements: usize, orders: &[u64], clients: &[u64], seconds: u64) -> Waiting {
        let text = "[[publication]]\nname = 'a'\nanonymous = true\n";
        let config = Config::parse(Path::new("test.toml"), text, &Environment::default());
        let publication = config.expect("settings").publications.remove(0);
        let element = wire::parse("{}", &publication.rules, usize::MAX);
        let since = Instant::now().checked_sub(Duration::from_secs(seconds));
        let since = since.expect("a machine that runs for longer");
        let job = Job {
            publication: Arc::new(publication),
            request_id: String::new(),
            login: None,
            body: String::new(),
            places: Vec::new(),
            elements: vec![element; elements],
            wide_network: 0,
            language: crate::order::fault::Language::default(),
            memory: Mutex::default(),
            claims: Claims {
                orders: orders.iter().copied().collect(),
                clients: clients.iter().copied().collect(),
            },
            received_at: Utc::now(),
            taken_at: since,
            submitted_at: since,
        };
        Waiting {
            job: Arc::new(job),
            answer: oneshot::channel().0,
            apart: false,
        }
    }

    /// The orders of the next group, and its writer; and how many were late.
    fn next(lane: &mut Lane) -> (Vec<u64>, Option<Writer>, usize) {
        let now = Instant::now();
        let is_late = |job: &Job| now >= job.taken_at + Duration::from_secs(9);
        let mut too_late = Vec::new();
        let group = lane.next_group(true, now, is_late, &mut too_late);
        let mut orders: Vec<u64> = group
            .iter()
            .flat_map(|group| &group.waiting)
            .flat_map(|waiting| waiting.job.claims.orders.clone())
            .collect();
        orders.sort_unstable();
        (orders, group.map(|group| group.writer), too_late.len())
    }

    const BIG: usize = SMALL_BATCH + 1;

    #[test]
    fn small_batches_go_together_but_those_of_the_same_order_do_not() {
        let batches = [1, 2, 1, 3].map(|order| waiting(1, &[order], &[9], 0));
        let mut lane = lane(batches);
        assert_eq!(next(&mut lane), (vec![1, 2], Some(Writer::Small), 0));
        // And none behind it that shares a client with it.
        assert_eq!(next(&mut lane), (vec![1, 3], Some(Writer::Small), 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
    }

    #[test]
    fn a_batch_whose_time_is_up_is_left_out() {
        let mut lane = lane([
            waiting(1, &[1], &[], 10),
            waiting(1, &[2], &[], 1),
            waiting(BIG, &[3], &[], 10),
            waiting(1, &[1], &[], 0),
        ]);
        assert_eq!(next(&mut lane), (vec![1, 2], Some(Writer::Small), 2));
        assert!(lane.waiting.is_empty());
    }

    #[test]
    fn small_batches_overtake_a_big_one_until_it_has_waited_for_long() {
        for (waited, overtaken) in [(0, true), (3, false)] {
            let mut lane = lane([
                waiting(BIG, &[1], &[7, 8], waited),
                waiting(1, &[2], &[7], 0),
                waiting(1, &[3], &[6], 0),
            ]);
            // Somebody changes one of its clients.
            lane.busy.insert(8);
            let small = if overtaken { vec![2, 3] } else { vec![3] };
            assert_eq!(next(&mut lane), (small, Some(Writer::Small), 0));
            lane.busy.clear();
            assert_eq!(next(&mut lane), (vec![1], Some(Writer::Big), 0));
        }
    }

    #[test]
    fn a_big_batch_that_insists_keeps_small_ones_from_its_clients() {
        let mut lane = lane([waiting(1, &[1], &[7], 0), waiting(1, &[2], &[6], 0)]);
        lane.insisted.insert(7);
        assert_eq!(next(&mut lane), (vec![2], Some(Writer::Small), 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
        lane.insisted.clear();
        assert_eq!(next(&mut lane), (vec![1], Some(Writer::Small), 0));
    }

    #[test]
    fn where_too_many_wait_the_last_of_the_largest_crowd_makes_room_for_a_smaller_one() {
        let from = |network: u64, order: u64| {
            let mut waiting = waiting(1, &[order], &[], 0);
            let job = Arc::get_mut(&mut waiting.job).expect("nobody else's");
            job.wide_network = network;
            waiting
        };
        let mut lane = lane([from(1, 10), from(1, 11), from(2, 20), from(1, 12)]);
        let made_room = |lane: &mut Lane, network| {
            let room = lane.make_room(network)?;
            room.job.claims.orders.iter().next().copied()
        };
        assert_eq!(
            made_room(&mut lane, 1),
            None,
            "not for one of the crowd itself"
        );
        assert_eq!(made_room(&mut lane, 3), Some(12));
        lane.waiting.push_back(from(3, 30));
        assert_eq!(
            made_room(&mut lane, 3),
            None,
            "that would only change who waits"
        );
        assert_eq!(made_room(&mut lane, 4), Some(11));
    }

    #[test]
    fn what_a_lock_stood_in_the_way_of_goes_apart_and_keeps_nobody_waiting() {
        let locked = |order| Waiting {
            apart: true,
            ..waiting(1, &[order], &[order], 0)
        };
        let mut lane = lane([
            locked(1),
            waiting(1, &[2], &[2], 0),
            waiting(1, &[4], &[5], 0),
            locked(3),
            waiting(1, &[6], &[1], 0),
        ]);
        // The same records again, by another batch.
        let again = waiting(1, &[], &[5], 0);
        lane.remember_locked(&again.job.claims, Instant::now());
        (lane.small, lane.apart) = (1, APART_WRITERS);
        assert_eq!(next(&mut lane), (vec![2], Some(Writer::Small), 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
        // Apart they go one by one.
        (lane.small, lane.apart) = (SMALL_WRITERS, 0);
        assert_eq!(next(&mut lane), (vec![1], Some(Writer::Apart), 0));
        lane.busy.insert(1);
        assert_eq!(next(&mut lane), (vec![4], Some(Writer::Apart), 0));
        assert_eq!(next(&mut lane), (vec![3], Some(Writer::Apart), 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
    }
}
