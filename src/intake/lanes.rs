//! Which batches wait, which go next, and which of them together.
//!
//! Each publication has a lane. There is no timer: a writer that is free takes whatever waits, and a lone order waits for
//! nobody. Small batches that wait share a transaction; a large one has its own, beside theirs. Batches that conflict, by an
//! order, a client or a guest's phone, keep their order of arrival: one that conflicts with a batch being written, or with
//! one that waits in front of it, waits too. Batches that name the same order never share a transaction, for the order's
//! history has a row for each of them.
//!
//! Most batches change no client, though the same clients order again and again. So once a transaction has decided, nobody
//! waits any longer for the clients that it leaves unchanged. A large batch takes a while to decide, and small batches may
//! overtake it until then: a lone order is somebody at a counter. If one of them changes a client that the large batch
//! changes too, one of the two loses the race and starts again. The large batch is served in the end: when it has waited for
//! [`MAY_BE_OVERTAKEN`], or has lost [`RACES_LOST`] races, small ones wait for its clients.
//!
//! A row lock that somebody else holds (an import, a forgotten `psql`) stops nobody but the batches that want that row. After
//! a short wait such a batch makes way and is tried again by a patient writer, as is, for a while, whatever names the same
//! records.
//!
//! All this saves lost races and nothing depends on it: the versions of the records decide.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    conflict::ConflictKeys,
    size::{ORDERS_PER_TRANSACTION, is_large},
};

/// How many transactions of each kind a publication has under way. More would only get into each other's way.
const WRITERS: usize = 2;
/// How many transactions with an open outcome leave their writer to others. If there are more, the database is in no state
/// to be sent more.
const MOST_OPEN: usize = 4;
/// How long small batches may overtake a large one.
const MAY_BE_OVERTAKEN: Duration = Duration::from_secs(2);
/// After so many lost races a large batch is overtaken no more.
const RACES_LOST: u32 = 2;
/// How long records are remembered that somebody's lock was met on, and how many.
const LOCKS_REMEMBERED: Duration = Duration::from_secs(30);
const MOST_LOCKS_REMEMBERED: usize = 10_000;
/// Once this many keys are known to wait, everything behind them waits as well: looking further costs more than it gains.
const FAR_ENOUGH: usize = 20_000;

/// The lanes of all publications.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    lanes: Mutex<HashMap<String, Lane<T>>>,
    /// How many batches of a publication may wait.
    most_waiting: usize,
    /// Whether small batches share transactions (`limits.coalesce`).
    coalesce: bool,
}

/// A batch that waits.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    pub keys: ConflictKeys,
    pub orders: usize,
    /// The sender's, as [`crate::share::Share::wide_network`] has it.
    pub wide_network: u64,
    pub since: Instant,
    /// From then on it is too late to store it.
    pub until: Instant,
    /// It met somebody's lock, so it is for a patient writer.
    pub met_lock: bool,
    pub batch: T,
}

/// What to do once the lanes' mutex is released.
#[must_use]
#[derive(Debug)]
pub(super) struct Ready<T> {
    /// Each to be stored in one transaction.
    pub groups: Vec<Group<T>>,
    /// Too late to be stored.
    pub late: Vec<T>,
    /// Displaced by a batch of a smaller crowd.
    pub displaced: Option<T>,
}

/// Batches that share a transaction.
#[derive(Debug)]
pub(super) struct Group<T> {
    pub ticket: Ticket,
    pub waiting: Vec<Waiting<T>>,
}

/// Stands for a group until [`Lanes::end`].
#[derive(Debug)]
pub(super) struct Ticket {
    publication: String,
    id: u64,
    writer: Writer,
}

/// Too many wait already.
#[derive(Debug)]
pub(super) struct LaneFull;

/// The kinds of writers that a publication has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// For small batches, several at once.
    Shared,
    /// For a large batch.
    Large,
    /// For a batch that met somebody's lock: it may wait long for it.
    Patient,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<Waiting<T>>,
    /// The groups under way, by their tickets.
    running: HashMap<u64, Running>,
    next_id: u64,
    /// Keys of what is being written.
    busy: HashSet<u64>,
    /// Client keys of large batches that are not decided yet. Only other large ones wait for them.
    undecided: HashSet<u64>,
    /// Client keys of a large batch that may not be overtaken any more; of one at a time.
    insisted: HashSet<u64>,
    /// Keys of batches that met somebody's lock, and until when they are remembered.
    locked: HashMap<u64, Instant>,
}

#[derive(Debug)]
struct Running {
    writer: Writer,
    keys: ConflictKeys,
    is_large: bool,
    /// Whether the lane's `insisted` is its own.
    insists: bool,
    /// Its outcome is open: it keeps its keys and has left its writer to others.
    is_open: bool,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            running: HashMap::new(),
            next_id: 0,
            busy: HashSet::new(),
            undecided: HashSet::new(),
            insisted: HashSet::new(),
            locked: HashMap::new(),
        }
    }
}

impl Ticket {
    /// Whether it may wait for somebody's lock, because it keeps nobody else waiting.
    pub(super) fn is_patient(&self) -> bool {
        self.writer == Writer::Patient
    }
}

impl<T> Waiting<T> {
    fn is_large(&self) -> bool {
        is_large(self.orders)
    }
}

impl<T> Lanes<T> {
    pub(super) fn new(most_waiting: usize, coalesce: bool) -> Self {
        Self {
            lanes: Mutex::default(),
            most_waiting,
            coalesce,
        }
    }

    /// By publication: batches that wait, and transactions under way.
    pub(super) fn lengths(&self) -> Vec<(String, usize, usize)> {
        let lanes = self.lock();
        let length = |(name, lane): (&String, &Lane<T>)| {
            let running = lane.running.values().filter(|running| !running.is_open);
            (name.clone(), lane.waiting.len(), running.count())
        };
        lanes.iter().map(length).collect()
    }

    /// Queues a batch.
    pub(super) fn submit(
        &self,
        publication: &str,
        waiting: Waiting<T>,
    ) -> Result<Ready<T>, LaneFull> {
        self.lane(publication, |lane| {
            let mut displaced = None;
            if lane.waiting.len() >= self.most_waiting {
                displaced = Some(lane.displace(waiting.wide_network).ok_or(LaneFull)?);
            }
            lane.waiting.push_back(waiting);
            Ok(Ready {
                displaced: displaced.map(|waiting| waiting.batch),
                ..self.start(lane, publication)
            })
        })
    }

    /// The group is decided: others need not wait any longer for the clients that it leaves unchanged.
    pub(super) fn decided(
        &self,
        ticket: &Ticket,
        unchanged_clients: impl Iterator<Item = u64>,
    ) -> Ready<T> {
        self.lane(&ticket.publication, |lane| {
            lane.decided(ticket.id, unchanged_clients);
            self.start(lane, &ticket.publication)
        })
    }

    /// The group has lost so many races, and begins again. If it is a large batch that was overtaken for long enough, those
    /// that are not under way yet wait for its clients: it could lose every race, for it reads and decides for long.
    pub(super) fn lost_race(&self, ticket: &Ticket, waiting: &Waiting<T>, races_lost: u32) {
        let may_be_overtaken =
            races_lost < RACES_LOST && waiting.since.elapsed() < MAY_BE_OVERTAKEN;
        if waiting.is_large() && !may_be_overtaken {
            self.lane(&ticket.publication, |lane| {
                lane.insist(ticket.id, &waiting.keys);
            });
        }
    }

    /// The batch met somebody's lock.
    pub(super) fn met_lock(&self, ticket: &Ticket, waiting: &Waiting<T>) {
        // Nearly all records of a large one are free.
        if !waiting.is_large() {
            self.lane(&ticket.publication, |lane| {
                lane.remember_locked(&waiting.keys, Instant::now());
            });
        }
    }

    /// The batch is stored: nobody's lock is on its records any more.
    pub(super) fn met_no_lock(&self, ticket: &Ticket, waiting: &Waiting<T>) {
        self.lane(&ticket.publication, |lane| {
            for key in waiting.keys.iter() {
                lane.locked.remove(key);
            }
        });
    }

    /// The group's outcome is open: it leaves its writer to others, and keeps its keys.
    pub(super) fn leave_writer(&self, ticket: &Ticket) -> Ready<T> {
        self.lane(&ticket.publication, |lane| {
            lane.leave_writer(ticket.id);
            self.start(lane, &ticket.publication)
        })
    }

    /// The group is over. The batches in `again` go back to the front of the queue.
    pub(super) fn end(&self, ticket: &Ticket, again: Vec<Waiting<T>>) -> Ready<T> {
        self.lane(&ticket.publication, |lane| {
            lane.end(ticket.id);
            for waiting in again.into_iter().rev() {
                lane.waiting.push_front(waiting);
            }
            self.start(lane, &ticket.publication)
        })
    }

    /// The group came to nothing, and nothing is to start after it.
    pub(super) fn abandon(&self, ticket: &Ticket) {
        self.lane(&ticket.publication, |lane| lane.end(ticket.id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Lane<T>>> {
        // Nothing under this lock can leave a lane half changed.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lane<R>(&self, publication: &str, work: impl FnOnce(&mut Lane<T>) -> R) -> R {
        let mut lanes = self.lock();
        if let Some(lane) = lanes.get_mut(publication) {
            return work(lane);
        }
        work(lanes.entry(publication.to_owned()).or_default())
    }

    /// Takes out of the queue what may be written now.
    fn start(&self, lane: &mut Lane<T>, publication: &str) -> Ready<T> {
        let now = Instant::now();
        let mut ready = Ready {
            groups: Vec::new(),
            late: Vec::new(),
            displaced: None,
        };
        while let Some((writer, waiting)) = lane.next_group(self.coalesce, now, &mut ready.late) {
            let ticket = Ticket {
                publication: publication.to_owned(),
                id: lane.run(writer, &waiting),
                writer,
            };
            ready.groups.push(Group { ticket, waiting });
        }
        ready
    }
}

impl<T> Lane<T> {
    /// Too many wait: takes out the last batch of the wide network with most of them, if the newcomer's has fewer.
    fn displace(&mut self, newcomer: u64) -> Option<Waiting<T>> {
        let mut crowds: HashMap<u64, usize> = HashMap::new();
        for waiting in &self.waiting {
            *crowds.entry(waiting.wide_network).or_default() += 1;
        }
        let own = crowds.get(&newcomer).copied().unwrap_or(0);
        let (crowd, size) = crowds.into_iter().max_by_key(|(_, size)| *size)?;
        let is_of_it = |waiting: &Waiting<T>| waiting.wide_network == crowd;
        let last = self.waiting.iter().rposition(is_of_it)?;
        (size > own + 1)
            .then(|| self.waiting.remove(last))
            .flatten()
    }

    /// Takes the batches of the next transaction out of the queue, and those for which it is too late.
    fn next_group(
        &mut self,
        coalesce: bool,
        now: Instant,
        late: &mut Vec<T>,
    ) -> Option<(Writer, Vec<Waiting<T>>)> {
        let mut running = [0; 3];
        for Running { writer, .. } in self.running.values().filter(|r| !r.is_open) {
            running[*writer as usize] += 1;
        }
        let mut writer = Writer::Shared;
        let mut group: Vec<Waiting<T>> = Vec::new();
        let mut orders = 0;
        let mut named: HashSet<u64> = HashSet::new();
        // Keys of what waits in front and may not be overtaken: by anybody, or by large batches.
        let mut blocked: HashSet<u64> = HashSet::new();
        let mut blocked_for_large: HashSet<u64> = HashSet::new();
        let mut at = 0;
        while let Some(waiting) = self.waiting.get(at) {
            if now >= waiting.until {
                late.extend(self.waiting.remove(at).map(|waiting| waiting.batch));
                continue;
            }
            let keys = &waiting.keys;
            let is_taken = |key| {
                self.busy.contains(key) || self.insisted.contains(key) || blocked.contains(key)
            };
            let is_taken_from_large =
                |key| self.undecided.contains(key) || blocked_for_large.contains(key);
            let conflicts = keys.iter().any(is_taken)
                || keys.orders.iter().any(|key| named.contains(key))
                || (waiting.is_large() && keys.clients.iter().any(is_taken_from_large));
            let its_writer = if waiting.met_lock || self.is_locked(keys, now) {
                Writer::Patient
            } else if waiting.is_large() {
                Writer::Large
            } else {
                Writer::Shared
            };
            let fits = if group.is_empty() {
                running[its_writer as usize] < WRITERS
            } else {
                its_writer == Writer::Shared && orders + waiting.orders <= ORDERS_PER_TRANSACTION
            };
            if conflicts || !fits {
                blocked.extend(&keys.orders);
                if waiting.is_large() && now < waiting.since + MAY_BE_OVERTAKEN {
                    blocked_for_large.extend(&keys.clients);
                } else {
                    blocked.extend(&keys.clients);
                }
                if blocked.len() + blocked_for_large.len() > FAR_ENOUGH {
                    break;
                }
                at += 1;
                continue;
            }
            orders += waiting.orders;
            named.extend(&keys.orders);
            writer = its_writer;
            group.extend(self.waiting.remove(at));
            if writer != Writer::Shared || !coalesce {
                break;
            }
        }
        (!group.is_empty()).then_some((writer, group))
    }

    /// Notes that a group is under way, and returns its id.
    fn run(&mut self, writer: Writer, group: &[Waiting<T>]) -> u64 {
        let is_large = group.iter().any(Waiting::is_large);
        let mut keys = ConflictKeys::default();
        for waiting in group {
            keys.extend(&waiting.keys);
        }
        self.busy.extend(&keys.orders);
        let clients = if is_large {
            &mut self.undecided
        } else {
            &mut self.busy
        };
        clients.extend(&keys.clients);
        let id = self.next_id;
        self.next_id += 1;
        let running = Running {
            writer,
            keys,
            is_large,
            insists: false,
            is_open: false,
        };
        self.running.insert(id, running);
        id
    }

    fn decided(&mut self, id: u64, unchanged_clients: impl Iterator<Item = u64>) {
        let Some(mut running) = self.running.remove(&id) else {
            return;
        };
        for key in unchanged_clients {
            if running.keys.clients.remove(&key) {
                self.free_client(key, running.is_large);
            }
        }
        if running.is_large {
            for key in &running.keys.clients {
                self.undecided.remove(key);
                self.busy.insert(*key);
            }
        }
        self.running.insert(id, running);
    }

    fn free_client(&mut self, key: u64, is_large: bool) {
        if !(is_large && self.undecided.remove(&key)) {
            self.busy.remove(&key);
        }
    }

    fn leave_writer(&mut self, id: u64) {
        let open = self.running.values().filter(|running| running.is_open);
        if open.count() < MOST_OPEN
            && let Some(running) = self.running.get_mut(&id)
        {
            running.is_open = true;
        }
    }

    fn insist(&mut self, id: u64, keys: &ConflictKeys) {
        if let Some(running) = self.running.get_mut(&id)
            && self.insisted.is_empty()
        {
            self.insisted.extend(&keys.clients);
            running.insists = true;
        }
    }

    fn end(&mut self, id: u64) {
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        for key in &running.keys.orders {
            self.busy.remove(key);
        }
        for key in &running.keys.clients {
            self.free_client(*key, running.is_large);
        }
        if running.insists {
            self.insisted.clear();
        }
    }

    fn is_locked(&self, keys: &ConflictKeys, now: Instant) -> bool {
        let is_remembered = |key| self.locked.get(key).is_some_and(|until| now < *until);
        !self.locked.is_empty() && keys.iter().any(is_remembered)
    }

    fn remember_locked(&mut self, keys: &ConflictKeys, now: Instant) {
        self.locked.retain(|_, until| now < *until);
        for key in keys.iter() {
            if self.locked.len() >= MOST_LOCKS_REMEMBERED {
                break;
            }
            self.locked.insert(*key, now + LOCKS_REMEMBERED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch called by the first order that it names. It has waited for so many seconds, and has ten.
    fn waiting(orders: usize, names: &[u64], clients: &[u64], seconds: u64) -> Waiting<u64> {
        let since = Instant::now().checked_sub(Duration::from_secs(seconds));
        let since = since.expect("a machine that has run for longer");
        Waiting {
            keys: ConflictKeys {
                orders: names.iter().copied().collect(),
                clients: clients.iter().copied().collect(),
            },
            orders,
            wide_network: 0,
            since,
            until: since + Duration::from_secs(10),
            met_lock: false,
            batch: names.first().copied().unwrap_or(0),
        }
    }

    fn lane(waiting: impl IntoIterator<Item = Waiting<u64>>) -> Lane<u64> {
        Lane {
            waiting: waiting.into_iter().collect(),
            ..Lane::default()
        }
    }

    fn names(group: &[Waiting<u64>]) -> Vec<u64> {
        group.iter().map(|waiting| waiting.batch).collect()
    }

    /// The next group, for which writers of all kinds are free, and how many batches were late.
    fn next(lane: &mut Lane<u64>) -> (Vec<u64>, Option<Writer>, usize) {
        let mut too_late = Vec::new();
        let group = lane.next_group(true, Instant::now(), &mut too_late);
        let (writer, group) = group.unzip();
        (names(&group.unwrap_or_default()), writer, too_late.len())
    }

    const LARGE: usize = 101;

    #[test]
    fn small_batches_go_together_but_those_of_the_same_order_do_not() {
        let batches = [1, 2, 1, 3].map(|order| waiting(1, &[order], &[9], 0));
        let mut lane = lane(batches);
        assert_eq!(next(&mut lane), (vec![1, 2], Some(Writer::Shared), 0));
        // And none behind it that shares a client with it.
        assert_eq!(next(&mut lane), (vec![1, 3], Some(Writer::Shared), 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
    }

    #[test]
    fn a_shared_transaction_has_room_for_500_orders() {
        let mut lane = lane((1..=7).map(|order| waiting(100, &[order], &[], 0)));
        assert_eq!(
            next(&mut lane),
            (vec![1, 2, 3, 4, 5], Some(Writer::Shared), 0)
        );
        assert_eq!(next(&mut lane), (vec![6, 7], Some(Writer::Shared), 0));
    }

    #[test]
    fn without_coalescing_each_batch_goes_by_itself() {
        let mut lane = lane([waiting(1, &[1], &[], 0), waiting(1, &[2], &[], 0)]);
        let (_, group) = lane
            .next_group(false, Instant::now(), &mut Vec::new())
            .expect("a group");
        assert_eq!(names(&group), [1]);
    }

    #[test]
    fn a_batch_whose_time_is_up_is_left_out() {
        let mut lane = lane([
            waiting(1, &[1], &[], 11),
            waiting(1, &[2], &[], 1),
            waiting(LARGE, &[3], &[], 11),
            waiting(1, &[1], &[], 0),
        ]);
        assert_eq!(next(&mut lane), (vec![2, 1], Some(Writer::Shared), 2));
        assert!(lane.waiting.is_empty());
    }

    #[test]
    fn small_batches_overtake_a_large_one_until_it_has_waited_for_long() {
        for (waited, overtaken) in [(0, true), (3, false)] {
            let mut lane = lane([
                waiting(LARGE, &[1], &[7, 8], waited),
                waiting(1, &[2], &[7], 0),
                waiting(1, &[3], &[6], 0),
            ]);
            // Somebody changes one of its clients.
            lane.busy.insert(8);
            let small = if overtaken { vec![2, 3] } else { vec![3] };
            assert_eq!(next(&mut lane), (small, Some(Writer::Shared), 0));
            lane.busy.clear();
            assert_eq!(next(&mut lane), (vec![1], Some(Writer::Large), 0));
        }
    }

    #[test]
    fn a_large_batch_that_insists_keeps_small_ones_from_its_clients_until_it_is_over() {
        let mut lane = lane([waiting(LARGE, &[1], &[7], 0)]);
        let (writer, group) = lane
            .next_group(true, Instant::now(), &mut Vec::new())
            .expect("a group");
        let id = lane.run(writer, &group);
        lane.insist(id, &group[0].keys);
        lane.waiting
            .extend([waiting(1, &[2], &[7], 0), waiting(1, &[3], &[6], 0)]);
        assert_eq!(next(&mut lane), (vec![3], Some(Writer::Shared), 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
        lane.end(id);
        assert_eq!(next(&mut lane), (vec![2], Some(Writer::Shared), 0));
    }

    #[test]
    fn once_a_transaction_has_decided_nobody_waits_for_the_clients_that_it_leaves_unchanged() {
        for orders in [1, LARGE] {
            let mut lane = lane([waiting(orders, &[1], &[7, 8], 0)]);
            let (writer, group) = lane
                .next_group(true, Instant::now(), &mut Vec::new())
                .expect("a group");
            let id = lane.run(writer, &group);
            lane.waiting.push_back(waiting(LARGE, &[2], &[7], 0));
            lane.waiting.push_back(waiting(LARGE, &[3], &[8], 0));
            assert_eq!(next(&mut lane), (vec![], None, 0));
            lane.decided(id, [8].into_iter());
            assert_eq!(next(&mut lane), (vec![3], Some(Writer::Large), 0));
            assert_eq!(next(&mut lane), (vec![], None, 0));
            lane.end(id);
            assert_eq!(next(&mut lane), (vec![2], Some(Writer::Large), 0));
        }
    }

    #[test]
    fn where_too_many_wait_the_last_of_the_largest_crowd_is_displaced_by_a_smaller_one() {
        let from = |wide_network: u64, order: u64| Waiting {
            wide_network,
            ..waiting(1, &[order], &[], 0)
        };
        let mut lane = lane([from(1, 10), from(1, 11), from(2, 20), from(1, 12)]);
        let displaced =
            |lane: &mut Lane<u64>, newcomer| lane.displace(newcomer).map(|waiting| waiting.batch);
        assert_eq!(
            displaced(&mut lane, 1),
            None,
            "not for one of the crowd itself"
        );
        assert_eq!(displaced(&mut lane, 3), Some(12));
        lane.waiting.push_back(from(3, 30));
        assert_eq!(
            displaced(&mut lane, 3),
            None,
            "that would only change who waits"
        );
        assert_eq!(displaced(&mut lane, 4), Some(11));
    }

    #[test]
    fn what_met_a_lock_goes_to_a_patient_writer_and_keeps_nobody_waiting() {
        let locked = |order| Waiting {
            met_lock: true,
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
        lane.remember_locked(&again.keys, Instant::now());
        let busy = [(); WRITERS].map(|()| lane.run(Writer::Patient, &[]));
        let shared = lane.run(Writer::Shared, &[]);
        assert_eq!(next(&mut lane), (vec![2], Some(Writer::Shared), 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
        // Patient writers take one batch each.
        lane.run(Writer::Shared, &[]);
        for id in busy {
            lane.end(id);
        }
        assert_eq!(next(&mut lane), (vec![1], Some(Writer::Patient), 0));
        lane.busy.insert(1);
        assert_eq!(next(&mut lane), (vec![4], Some(Writer::Patient), 0));
        assert_eq!(next(&mut lane), (vec![3], Some(Writer::Patient), 0));
        assert_eq!(next(&mut lane), (vec![], None, 0));
        lane.end(shared);
    }

    #[test]
    fn a_transaction_with_an_open_outcome_leaves_its_writer_and_keeps_its_keys() {
        let lanes = Lanes::new(100, true);
        let submit = |orders: &[u64]| {
            let ready = lanes.submit("shop", waiting(LARGE, orders, &[], 0));
            let groups = ready.expect("room").groups.into_iter();
            groups.map(|group| group.ticket).collect::<Vec<_>>()
        };
        let first = submit(&[1]).pop().expect("a free writer");
        let _second = submit(&[2]).pop().expect("a free writer");
        assert!(submit(&[1, 3]).is_empty(), "all writers are busy");
        assert_eq!(lanes.lengths(), [("shop".to_owned(), 1, 2)]);
        let ready = lanes.leave_writer(&first);
        assert!(ready.groups.is_empty(), "it waits for the same order");
        assert_eq!(submit(&[4]).len(), 1);
        let ready = lanes.end(&first, vec![waiting(LARGE, &[5], &[], 0)]);
        assert!(ready.groups.is_empty(), "all writers are busy again");
        assert_eq!(lanes.lengths(), [("shop".to_owned(), 2, 2)]);
    }
}
