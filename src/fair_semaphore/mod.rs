//! A semaphore that serves waiters fairly: publications take turns, in a publication its networks, in a network first come,
//! first served. A crowd waits for itself, and whoever else comes is next.

mod state;

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use self::state::{Holdings, QueueFull};
use self::state::{Rules, State};
use crate::share::Share;

/// Permits, handed out fairly. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FairSemaphore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rules: Rules,
    state: Mutex<State>,
}

/// Permits that are held. Dropped, it gives them back.
#[derive(Debug)]
pub struct Permit {
    semaphore: FairSemaphore,
    share: Share,
    permits: usize,
}

/// A request that waits. Dropped, it leaves the queue, or gives back what it was granted meanwhile.
struct Waiting<'s> {
    semaphore: &'s FairSemaphore,
    share: Share,
    arrival: u64,
    permits: usize,
}

impl FairSemaphore {
    pub fn new(permits: usize) -> Self {
        Self::with(permits, |_| true, [usize::MAX; 3])
    }

    /// Limits how many may wait: of one publication, of one wide network and of one network. Past that a newcomer displaces a
    /// waiter of a network that has more waiting than its own, or is turned away.
    pub fn with_most_waiting(permits: usize, most_waiting: [usize; 3]) -> Self {
        Self::with(permits, |_| true, most_waiting)
    }

    /// Lets a share hold only what `may_hold` allows. For those who do not wait: a waiter that may not be served yet would hold
    /// up all others.
    pub(crate) fn with_rule(permits: usize, may_hold: fn(&Holdings) -> bool) -> Self {
        Self::with(permits, may_hold, [usize::MAX; 3])
    }

    fn with(total: usize, may_hold: fn(&Holdings) -> bool, most_waiting: [usize; 3]) -> Self {
        Self {
            inner: Arc::new(Inner {
                rules: Rules {
                    total,
                    may_hold,
                    most_waiting,
                },
                state: Mutex::new(State::new(total)),
            }),
        }
    }

    /// Waits for `permits`, or for all there are if that is less. Dropped, it leaves the queue. [`QueueFull`] only where the
    /// number of waiters is limited.
    pub async fn acquire(&self, share: &Share, permits: usize) -> Result<Permit, QueueFull> {
        let permits = permits.clamp(1, self.inner.rules.total.max(1));
        let (waiting, ready) = {
            let mut state = self.inner.state.lock();
            if state.waiting.is_empty() && state.may_hold(&self.inner.rules, share, permits) {
                state.hold(share, permits);
                return Ok(self.permit(share, permits));
            }
            let (ready, is_ready) = oneshot::channel();
            let arrival = state.queue(&self.inner.rules, share, permits, ready)?;
            state.serve(&self.inner.rules);
            let waiting = Waiting {
                semaphore: self,
                share: *share,
                arrival,
                permits,
            };
            (waiting, is_ready)
        };
        // The sender of a displaced waiter is dropped; that waiter is out of the queue and holds nothing.
        let is_granted = ready.await.is_ok();
        std::mem::forget(waiting);
        if is_granted {
            Ok(self.permit(share, permits))
        } else {
            Err(QueueFull)
        }
    }

    /// Takes all of `permits` at once, or none.
    pub(crate) fn try_acquire(&self, share: &Share, permits: usize) -> Option<Permit> {
        let mut state = self.inner.state.lock();
        if !state.may_hold(&self.inner.rules, share, permits) {
            return None;
        }
        state.hold(share, permits);
        drop(state);
        Some(self.permit(share, permits))
    }

    /// For permits that are held already, or for none yet.
    pub(crate) fn permit(&self, share: &Share, permits: usize) -> Permit {
        Permit {
            semaphore: self.clone(),
            share: *share,
            permits,
        }
    }

    pub fn total_and_free(&self) -> (usize, usize) {
        (self.inner.rules.total, self.inner.state.lock().free)
    }

    pub fn waiting(&self) -> usize {
        self.inner
            .state
            .lock()
            .waiting
            .values()
            .map(VecDeque::len)
            .sum()
    }

    #[cfg(test)]
    pub(crate) fn waiting_of(&self, share: &Share) -> usize {
        self.inner
            .state
            .lock()
            .waiting
            .get(share)
            .map_or(0, VecDeque::len)
    }

    fn give_back(&self, share: &Share, permits: usize) {
        if permits > 0 {
            let mut state = self.inner.state.lock();
            state.give_back(share, permits);
            state.serve(&self.inner.rules);
        }
    }
}

impl Permit {
    pub fn permits(&self) -> usize {
        self.permits
    }

    pub fn share(&self) -> &Share {
        &self.share
    }

    /// Takes `permits` more at once, or none.
    pub(crate) fn try_add(&mut self, permits: usize) -> bool {
        let Some(mut more) = self.semaphore.try_acquire(&self.share, permits) else {
            return false;
        };
        self.permits += std::mem::take(&mut more.permits);
        true
    }

    /// Gives back `permits`, or all it has.
    pub(crate) fn give_back(&mut self, permits: usize) {
        let permits = permits.min(self.permits);
        self.permits -= permits;
        self.semaphore.give_back(&self.share, permits);
    }

    /// Moves `permits`, or all it has, into a permit of their own.
    pub(crate) fn split(&mut self, permits: usize) -> Self {
        let permits = permits.min(self.permits);
        self.permits -= permits;
        self.semaphore.permit(&self.share, permits)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.semaphore.give_back(&self.share, self.permits);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.semaphore.inner.state.lock();
        if state.unqueue(&self.share, self.arrival).is_none() {
            state.give_back(&self.share, self.permits);
        }
        // The one behind it may be next.
        state.serve(&self.semaphore.inner.rules);
    }
}

#[cfg(test)]
mod tests;
