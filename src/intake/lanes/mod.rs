//! Which batches wait, which go next, and which of them together.
//!
//! Each publication has a lane. There is no timer: a writer that is free takes whatever waits, and a lone order waits for
//! nobody. Small batches that wait share a transaction; a large one has its own, beside theirs. Batches that conflict, by an
//! order, a client or a guest's phone, keep their order of arrival: one that conflicts with a batch being written, or with
//! one that waits in front of it, waits too.
//!
//! Most batches change no client, though the same clients order again and again. So once a transaction has decided, nobody
//! waits any longer for the clients that it leaves unchanged. A large batch takes a while to decide, and small batches may
//! overtake it until then: a lone order is somebody at a counter. If one of them changes a client that the large batch
//! changes too, one of the two loses the race and starts again. The large batch is served in the end: when it has waited for
//! two seconds, or has lost two races, small ones wait for its clients.
//!
//! A row lock that somebody else holds (an import, a forgotten `psql`) stops nobody but the batches that want that row. After
//! a short wait such a batch makes way and is tried again by a patient writer, as is, for a while, whatever names the same
//! records.
//!
//! All this only saves lost races; what is right the versions of the records decide. But one rule has to hold: batches that
//! name the same order never share a transaction, for the order's history has a row for each of them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

mod lane;

use lane::{Lane, Writer};
pub use lane::{LaneFull, Waiting};

/// The lanes of all publications.
#[derive(Debug)]
pub struct Lanes<T> {
    lanes: Mutex<HashMap<String, Lane<T>>>,
    /// How many batches of a publication may wait.
    most_waiting: usize,
    /// Whether small batches share transactions (`limits.coalesce`).
    coalesce: bool,
}

/// What to do once the lanes' mutex is released: a runtime that shuts down drops a task the moment it is spawned, and the task
/// takes the mutex as it is dropped.
#[must_use]
#[derive(Debug)]
pub struct Ready<T> {
    /// Each to be stored in one transaction.
    pub groups: Vec<Group<T>>,
    /// Too late to be stored.
    pub late: Vec<T>,
    /// Displaced by a batch of a smaller crowd.
    pub displaced: Option<T>,
}

/// Batches that share a transaction.
#[derive(Debug)]
pub struct Group<T> {
    pub ticket: Ticket,
    pub waiting: Vec<Waiting<T>>,
}

/// Stands for a group until [`Lanes::end`].
#[derive(Debug)]
pub struct Ticket {
    publication: String,
    id: u64,
    writer: Writer,
}

impl Ticket {
    /// Whether it may wait for somebody's lock, because it keeps nobody else waiting.
    pub fn is_patient(&self) -> bool {
        self.writer == Writer::Patient
    }
}

impl<T> Lanes<T> {
    pub fn new(most_waiting: usize, coalesce: bool) -> Self {
        Self {
            lanes: Mutex::default(),
            most_waiting,
            coalesce,
        }
    }

    /// By publication: batches that wait, and transactions under way.
    pub fn lengths(&self) -> Vec<(String, usize, usize)> {
        let lanes = self.lock();
        let length = |(name, lane): (&String, &Lane<T>)| {
            (name.clone(), lane.waiting.len(), lane.under_way())
        };
        lanes.iter().map(length).collect()
    }

    /// Queues a batch.
    pub fn submit(&self, publication: &str, waiting: Waiting<T>) -> Result<Ready<T>, LaneFull> {
        self.lane(publication, |lane| {
            let displaced = lane.queue(waiting, self.most_waiting)?;
            Ok(Ready {
                displaced: displaced.map(|waiting| waiting.batch),
                ..self.start(lane, publication)
            })
        })
    }

    /// See [`Lane::decided`].
    pub fn decided(&self, ticket: &Ticket, unchanged: impl Iterator<Item = u64>) -> Ready<T> {
        self.lane(&ticket.publication, |lane| {
            lane.decided(ticket.id, unchanged);
            self.start(lane, &ticket.publication)
        })
    }

    /// See [`Lane::leave_writer`].
    pub fn leave_writer(&self, ticket: &Ticket) -> Ready<T> {
        self.lane(&ticket.publication, |lane| {
            lane.leave_writer(ticket.id);
            self.start(lane, &ticket.publication)
        })
    }

    /// The group is over. The batches in `again` go back to the front of the queue.
    pub fn end(&self, ticket: &Ticket, again: Vec<Waiting<T>>) -> Ready<T> {
        self.lane(&ticket.publication, |lane| {
            lane.end(ticket.id);
            for waiting in again.into_iter().rev() {
                lane.waiting.push_front(waiting);
            }
            self.start(lane, &ticket.publication)
        })
    }

    /// The group came to nothing, and nothing is to start after it.
    pub fn abandon(&self, ticket: &Ticket) {
        self.lane(&ticket.publication, |lane| lane.end(ticket.id));
    }

    /// See [`Lane::lost_race`].
    pub fn lost_race(&self, ticket: &Ticket, waiting: &Waiting<T>, races_lost: u32) {
        self.lane(&ticket.publication, |lane| {
            lane.lost_race(ticket.id, waiting, races_lost);
        });
    }

    /// See [`Lane::met_lock`].
    pub fn met_lock(&self, ticket: &Ticket, waiting: &Waiting<T>) {
        self.lane(&ticket.publication, |lane| lane.met_lock(waiting));
    }

    /// See [`Lane::met_no_lock`].
    pub fn met_no_lock(&self, ticket: &Ticket, waiting: &Waiting<T>) {
        self.lane(&ticket.publication, |lane| lane.met_no_lock(waiting));
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
