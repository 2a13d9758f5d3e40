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

use std::collections::HashMap;

use parking_lot::Mutex;

mod lane;

pub use lane::{Lane, LaneFull, Ready, Waiting};

#[derive(Debug)]
pub struct Lanes<T> {
    lanes: Mutex<HashMap<String, Lane<T>>>,
    /// How many batches of a publication may wait.
    most_waiting: usize,
    /// Whether small batches share transactions (`limits.coalesce`).
    coalesce: bool,
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
        let lanes = self.lanes.lock();
        let length = |(name, lane): (&String, &Lane<T>)| {
            (name.clone(), lane.waiting.len(), lane.under_way())
        };
        lanes.iter().map(length).collect()
    }

    /// Queues a batch, perhaps in the place of one of a larger crowd, which is returned.
    pub fn submit(
        &self,
        publication: &str,
        waiting: Waiting<T>,
    ) -> Result<(Option<T>, Ready<T>), LaneFull> {
        self.lane(publication, |lane| {
            let displaced = lane.queue(waiting, self.most_waiting)?;
            Ok((displaced, lane.start(self.coalesce)))
        })
    }

    /// Changes a publication's lane, and takes out of its queue what may be written then.
    pub fn change(&self, publication: &str, change: impl FnOnce(&mut Lane<T>)) -> Ready<T> {
        self.lane(publication, |lane| {
            change(lane);
            lane.start(self.coalesce)
        })
    }

    pub fn lane<R>(&self, publication: &str, work: impl FnOnce(&mut Lane<T>) -> R) -> R {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get_mut(publication) {
            return work(lane);
        }
        work(lanes.entry(publication.to_owned()).or_default())
    }
}
