//! The lane of one publication.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use crate::intake::{
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
/// How many races a large batch may lose before it is overtaken no more.
const RACES_LOST: u32 = 2;
/// How long records are remembered that somebody's lock was met on, and how many.
const LOCKS_REMEMBERED: Duration = Duration::from_secs(30);
const MOST_LOCKS_REMEMBERED: usize = 10_000;
/// Once this many keys are known to wait, everything behind them waits as well: looking further costs more than it gains.
const FAR_ENOUGH: usize = 20_000;

#[derive(Debug)]
pub struct Waiting<T> {
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

/// Batches to be stored in one transaction.
#[derive(Debug)]
pub struct Group<T> {
    /// By which its lane knows it until [`Lane::end`].
    pub id: u64,
    /// It may wait for somebody's lock, because it keeps nobody else waiting.
    pub is_patient: bool,
    pub waiting: Vec<Waiting<T>>,
}

/// What to do once the lanes' mutex is released: a runtime that shuts down drops a task the moment it is spawned, and the
/// task takes the mutex as it is dropped.
#[must_use]
#[derive(Debug)]
pub struct Ready<T> {
    pub groups: Vec<Group<T>>,
    pub late: Vec<T>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// For small batches, several at once.
    Shared,
    Large,
    /// For a batch that met somebody's lock: it may wait long for it.
    Patient,
}

#[derive(Debug)]
pub struct Lane<T> {
    pub waiting: VecDeque<Waiting<T>>,
    /// The groups under way, by their ids.
    running: HashMap<u64, Running>,
    next_id: u64,
    /// Keys of what is being written.
    busy: HashSet<u64>,
    /// Client keys of large batches that are not decided yet. Only other large ones wait for them.
    undecided: HashSet<u64>,
    /// Client keys of a large batch that may not be overtaken any more; of one at a time.
    protected: HashSet<u64>,
    /// Keys of batches that met somebody's lock, and until when they are remembered.
    locked: HashMap<u64, Instant>,
}

#[derive(Debug)]
struct Running {
    writer: Writer,
    keys: ConflictKeys,
    is_large: bool,
    /// Whether the lane's `protected` is its own.
    is_protected: bool,
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
            protected: HashSet::new(),
            locked: HashMap::new(),
        }
    }
}

impl<T> Waiting<T> {
    fn is_large(&self) -> bool {
        is_large(self.orders)
    }
}

/// Keys of what waits in front of others.
#[derive(Default)]
struct InFront {
    /// No batch that shares one of these may pass.
    blocked: HashSet<u64>,
    /// Nor may a large batch that shares one of these.
    blocked_for_large: HashSet<u64>,
}

impl InFront {
    fn add<T>(&mut self, waiting: &Waiting<T>, now: Instant) {
        self.blocked.extend(&waiting.keys.orders);
        if waiting.is_large() && now < waiting.since + MAY_BE_OVERTAKEN {
            self.blocked_for_large.extend(&waiting.keys.clients);
        } else {
            self.blocked.extend(&waiting.keys.clients);
        }
    }

    fn len(&self) -> usize {
        self.blocked.len() + self.blocked_for_large.len()
    }
}

#[derive(Debug)]
pub struct LaneFull;

impl<T> Lane<T> {
    pub fn under_way(&self) -> usize {
        let running = self.running.values();
        running.filter(|running| !running.is_open).count()
    }

    /// Queues a batch. If too many wait, it may displace one of a larger crowd.
    pub fn queue(
        &mut self,
        waiting: Waiting<T>,
        most_waiting: usize,
    ) -> Result<Option<T>, LaneFull> {
        let mut displaced = None;
        if self.waiting.len() >= most_waiting {
            let room = self.displace(waiting.wide_network);
            displaced = Some(room.ok_or(LaneFull)?.batch);
        }
        self.waiting.push_back(waiting);
        Ok(displaced)
    }

    /// Takes out of the queue what may be written now.
    pub fn start(&mut self, coalesce: bool) -> Ready<T> {
        let now = Instant::now();
        let mut ready = Ready {
            groups: Vec::new(),
            late: Vec::new(),
        };
        while let Some((writer, waiting)) = self.next_group(coalesce, now, &mut ready.late) {
            ready.groups.push(Group {
                id: self.run(writer, &waiting),
                is_patient: writer == Writer::Patient,
                waiting,
            });
        }
        ready
    }

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
        let mut in_front = InFront::default();
        let mut at = 0;
        while let Some(waiting) = self.waiting.get(at) {
            if now >= waiting.until {
                late.extend(self.waiting.remove(at).map(|waiting| waiting.batch));
                continue;
            }
            let its_writer = self.writer_for(waiting, now);
            let fits = if group.is_empty() {
                running[its_writer as usize] < WRITERS
            } else {
                its_writer == Writer::Shared && orders + waiting.orders <= ORDERS_PER_TRANSACTION
            };
            let is_named = |key| named.contains(key);
            if !fits
                || self.must_wait(waiting, &in_front)
                || waiting.keys.orders.iter().any(is_named)
            {
                in_front.add(waiting, now);
                if in_front.len() > FAR_ENOUGH {
                    break;
                }
                at += 1;
                continue;
            }
            orders += waiting.orders;
            named.extend(&waiting.keys.orders);
            writer = its_writer;
            group.extend(self.waiting.remove(at));
            if writer != Writer::Shared || !coalesce {
                break;
            }
        }
        (!group.is_empty()).then_some((writer, group))
    }

    fn writer_for(&self, waiting: &Waiting<T>, now: Instant) -> Writer {
        let is_locked = |key| self.locked.get(key).is_some_and(|until| now < *until);
        if waiting.met_lock || waiting.keys.iter().any(is_locked) {
            Writer::Patient
        } else if waiting.is_large() {
            Writer::Large
        } else {
            Writer::Shared
        }
    }

    /// Whether it conflicts with a batch that is being written, or with one in front that it may not overtake.
    fn must_wait(&self, waiting: &Waiting<T>, in_front: &InFront) -> bool {
        let is_taken = |key| {
            self.busy.contains(key)
                || self.protected.contains(key)
                || in_front.blocked.contains(key)
        };
        let is_taken_from_large =
            |key| self.undecided.contains(key) || in_front.blocked_for_large.contains(key);
        waiting.keys.iter().any(is_taken)
            || (waiting.is_large() && waiting.keys.clients.iter().any(is_taken_from_large))
    }

    /// Notes that a group is under way. Returns the group's id.
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
            is_protected: false,
            is_open: false,
        };
        self.running.insert(id, running);
        id
    }

    /// The group is decided: others need not wait any longer for the clients that it leaves unchanged.
    pub fn decided(&mut self, id: u64, unchanged_clients: impl Iterator<Item = u64>) {
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

    /// The group's outcome is open: it leaves its writer to others, and keeps its keys.
    pub fn leave_writer(&mut self, id: u64) {
        let open = self.running.values().filter(|running| running.is_open);
        if open.count() < MOST_OPEN
            && let Some(running) = self.running.get_mut(&id)
        {
            running.is_open = true;
        }
    }

    /// The group has lost `races_lost` races. If it is a large batch that was overtaken for long enough, those that are not under
    /// way yet wait for its clients: it reads and decides for long, and could lose every race.
    pub fn lost_race(&mut self, id: u64, waiting: &Waiting<T>, races_lost: u32) {
        let may_be_overtaken =
            races_lost < RACES_LOST && waiting.since.elapsed() < MAY_BE_OVERTAKEN;
        if waiting.is_large()
            && !may_be_overtaken
            && self.protected.is_empty()
            && let Some(running) = self.running.get_mut(&id)
        {
            self.protected.extend(&waiting.keys.clients);
            running.is_protected = true;
        }
    }

    /// The group is over. The batches in `again` go back to the front of the queue.
    pub fn end(&mut self, id: u64, again: Vec<Waiting<T>>) {
        for waiting in again.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        for key in &running.keys.orders {
            self.busy.remove(key);
        }
        for key in &running.keys.clients {
            self.free_client(*key, running.is_large);
        }
        if running.is_protected {
            self.protected.clear();
        }
    }

    /// The batch met somebody's lock.
    pub fn met_lock(&mut self, waiting: &Waiting<T>) {
        // Nearly all records of a large one are free.
        if waiting.is_large() {
            return;
        }
        let now = Instant::now();
        self.locked.retain(|_, until| now < *until);
        for key in waiting.keys.iter() {
            if self.locked.len() >= MOST_LOCKS_REMEMBERED {
                break;
            }
            self.locked.insert(*key, now + LOCKS_REMEMBERED);
        }
    }

    /// The batch is stored: nobody's lock is on its records any more.
    pub fn met_no_lock(&mut self, waiting: &Waiting<T>) {
        for key in waiting.keys.iter() {
            self.locked.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
