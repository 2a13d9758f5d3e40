//! A semaphore that serves waiters fairly: publications take turns, in a publication its networks, in a network first come,
//! first served. A crowd waits for itself, and whoever else comes is next.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::share::Share;

/// Permits, handed out fairly. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FairSemaphore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    total: usize,
    /// Whether a share may hold what it asks for. The permits must be free in any case.
    may_hold: fn(&Holdings) -> bool,
    /// Whether the next waiter in line holds up all others until it can be served. Otherwise they may pass it.
    in_order: bool,
    /// How many may wait, of one publication, of one wide network and of one network.
    most_waiting: [usize; 3],
    state: Mutex<State>,
}

/// How the permits would be spread if a request were granted.
#[derive(Debug)]
pub(crate) struct Holdings {
    pub total: usize,
    pub free: usize,
    /// Held by the share's publication, and in it by its wide network and by its network.
    pub publication: usize,
    pub wide: usize,
    pub network: usize,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// What is held or waited for, at each level of a share.
    levels: HashMap<u64, Level>,
    waiting: HashMap<Share, VecDeque<Waiter>>,
    /// Counts arrivals and grants.
    clock: u64,
}

#[derive(Debug, Default)]
struct Level {
    held: usize,
    /// Permits that its waiters ask for.
    wanted: usize,
    waiters: usize,
    /// When it was last granted anything, by the state's clock.
    served: u64,
}

#[derive(Debug)]
struct Waiter {
    arrival: u64,
    permits: usize,
    ready: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wait already")]
pub struct QueueFull;

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
        Self::with(permits, |_| true, true, [usize::MAX; 3])
    }

    /// Limits how many may wait: of one publication, of one wide network and of one network. Past that a newcomer displaces a
    /// waiter of a network that has more waiting than its own, or is turned away.
    pub fn with_most_waiting(permits: usize, most_waiting: [usize; 3]) -> Self {
        Self::with(permits, |_| true, true, most_waiting)
    }

    /// Lets a share hold only what `may_hold` allows. A waiter that may not be served yet holds up nobody else.
    pub(crate) fn with_rule(permits: usize, may_hold: fn(&Holdings) -> bool) -> Self {
        Self::with(permits, may_hold, false, [usize::MAX; 3])
    }

    fn with(
        total: usize,
        may_hold: fn(&Holdings) -> bool,
        in_order: bool,
        most_waiting: [usize; 3],
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                total,
                may_hold,
                in_order,
                most_waiting,
                state: Mutex::new(State {
                    free: total,
                    levels: HashMap::new(),
                    waiting: HashMap::new(),
                    clock: 0,
                }),
            }),
        }
    }

    /// Waits for `permits`, or for all there are if that is less. Dropped, it leaves the queue. [`QueueFull`] only where the
    /// number of waiters is limited.
    pub async fn acquire(&self, share: &Share, permits: usize) -> Result<Permit, QueueFull> {
        let permits = permits.clamp(1, self.inner.total.max(1));
        let (waiting, ready) = {
            let mut state = self.inner.state.lock();
            if (state.waiting.is_empty() || !self.inner.in_order)
                && state.may_hold(&self.inner, share, permits, false)
            {
                state.hold(share, permits);
                return Ok(self.permit(share, permits));
            }
            let (ready, is_ready) = oneshot::channel();
            let arrival = state.queue(&self.inner, share, permits, ready)?;
            state.serve(&self.inner);
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
        if !state.may_hold(&self.inner, share, permits, true) {
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
        (self.inner.total, self.inner.state.lock().free)
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
            state.serve(&self.inner);
        }
    }
}

impl State {
    /// Whether a share may hold `permits` more. A request that would not wait (`passing`) leaves alone what its publication
    /// waits for.
    fn may_hold(&self, inner: &Inner, share: &Share, permits: usize, passing: bool) -> bool {
        let Some(free) = self.free.checked_sub(permits) else {
            return false;
        };
        let [publication, wide, network] = share.levels.map(|level| self.levels.get(&level));
        let held = |level: Option<&Level>| level.map_or(0, |level| level.held) + permits;
        let wanted = publication.map_or(0, |level| if passing { level.wanted } else { 0 });
        (inner.may_hold)(&Holdings {
            total: inner.total,
            free,
            publication: held(publication) + wanted,
            wide: held(wide),
            network: held(network),
        })
    }

    fn hold(&mut self, share: &Share, permits: usize) {
        self.free -= permits;
        self.clock += 1;
        for level in share.levels {
            let level = self.levels.entry(level).or_default();
            level.held += permits;
            level.served = self.clock;
        }
    }

    fn give_back(&mut self, share: &Share, permits: usize) {
        self.free += permits;
        for key in share.levels {
            self.change(key, |level| level.held -= permits);
        }
    }

    fn queue(
        &mut self,
        inner: &Inner,
        share: &Share,
        permits: usize,
        ready: oneshot::Sender<()>,
    ) -> Result<u64, QueueFull> {
        for (level, most) in inner.most_waiting.into_iter().enumerate() {
            let waiters = self.levels.get(&share.levels[level]);
            if waiters.map_or(0, |level| level.waiters) >= most {
                self.displace(share, level)?;
            }
        }
        self.clock += 1;
        for level in share.levels {
            let level = self.levels.entry(level).or_default();
            level.wanted += permits;
            level.waiters += 1;
        }
        self.waiting.entry(*share).or_default().push_back(Waiter {
            arrival: self.clock,
            permits,
            ready,
        });
        Ok(self.clock)
    }

    /// Too many wait at that level of a newcomer's share: removes the last waiter of the network with most of them, unless the
    /// newcomer's network would then have as many.
    fn displace(&mut self, newcomer: &Share, level: usize) -> Result<(), QueueFull> {
        let crowd = |share: &Share| {
            let [_, wide, network] = share.levels.map(|key| {
                let level = self.levels.get(&key);
                level.map_or(0, |level| level.waiters)
            });
            (wide, network)
        };
        let at_that_level = self
            .waiting
            .iter()
            .filter(|(share, _)| share.levels[level] == newcomer.levels[level])
            .filter_map(|(share, waiters)| Some((crowd(share), waiters.back()?.arrival, *share)));
        let last = at_that_level.max_by_key(|(crowd, arrival, _)| (*crowd, *arrival));
        let (its_crowd, arrival, share) = last.ok_or(QueueFull)?;
        let (wide, network) = crowd(newcomer);
        let is_of_its_network = share.levels[1] == newcomer.levels[1];
        if its_crowd <= (wide + usize::from(!is_of_its_network), network + 1) {
            return Err(QueueFull);
        }
        self.unqueue(&share, arrival).map(drop).ok_or(QueueFull)
    }

    /// Takes a waiter out; `None` where it was served already.
    fn unqueue(&mut self, share: &Share, arrival: u64) -> Option<Waiter> {
        let waiting = self.waiting.get_mut(share)?;
        let index = waiting
            .iter()
            .position(|waiter| waiter.arrival == arrival)?;
        let waiter = waiting.remove(index)?;
        if waiting.is_empty() {
            self.waiting.remove(share);
        }
        for key in share.levels {
            self.change(key, |level| {
                level.wanted -= waiter.permits;
                level.waiters -= 1;
            });
        }
        Some(waiter)
    }

    /// Changes a level, which is forgotten once it holds nothing and waits for nothing.
    fn change(&mut self, key: u64, change: impl FnOnce(&mut Level)) {
        if let Some(level) = self.levels.get_mut(&key) {
            change(level);
            if level.held == 0 && level.waiters == 0 {
                self.levels.remove(&key);
            }
        }
    }

    fn serve(&mut self, inner: &Inner) {
        while let Some((share, arrival)) = self.next(inner) {
            let Some(waiter) = self.unqueue(&share, arrival) else {
                return;
            };
            self.hold(&share, waiter.permits);
            // A waiter that is gone meanwhile gives it back itself.
            let _ = waiter.ready.send(());
        }
    }

    /// The next waiter to be served: at each level who holds least, then who was served longest ago; in the end who came first.
    fn next(&self, inner: &Inner) -> Option<(Share, u64)> {
        let may =
            |share: &Share, waiter: &Waiter| self.may_hold(inner, share, waiter.permits, false);
        let first = |(share, waiters): (&Share, &VecDeque<Waiter>)| {
            let waiter = waiters.front()?;
            (inner.in_order || may(share, waiter)).then_some((*share, waiter.arrival))
        };
        let rank = |(share, arrival): &(Share, u64)| {
            let levels = share.levels.map(|key| {
                let level = self.levels.get(&key);
                level.map_or((0, 0), |level| (level.held, level.served))
            });
            (levels, *arrival)
        };
        let (share, arrival) = self.waiting.iter().filter_map(first).min_by_key(rank)?;
        let waiter = self.waiting.get(&share)?.front()?;
        may(&share, waiter).then_some((share, arrival))
    }
}

impl Permit {
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// How many the semaphore has in all.
    pub(crate) fn total(&self) -> usize {
        self.semaphore.inner.total
    }

    pub fn share(&self) -> &Share {
        &self.share
    }

    /// Takes `permits` more at once, or none.
    pub(crate) fn try_add(&mut self, permits: usize) -> bool {
        let more = self.semaphore.try_acquire(&self.share, permits);
        more.map(|more| self.merge(more)).is_some()
    }

    pub(crate) async fn add(&mut self, permits: usize) -> Result<(), QueueFull> {
        let more = self.semaphore.acquire(&self.share, permits).await?;
        self.merge(more);
        Ok(())
    }

    fn merge(&mut self, mut more: Self) {
        self.permits += std::mem::take(&mut more.permits);
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
        state.serve(&self.semaphore.inner);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::{sync::mpsc, task::JoinHandle};

    use super::*;

    fn share(publication: &str, address: &str) -> Share {
        Share::new(publication, address.parse::<IpAddr>().expect("an address"))
    }

    /// Who waits, and in which order they are served. Each gives its permit back at once.
    struct Queue {
        semaphore: FairSemaphore,
        served: mpsc::UnboundedReceiver<&'static str>,
        serve: mpsc::UnboundedSender<&'static str>,
    }

    impl Queue {
        fn new(semaphore: FairSemaphore) -> Self {
            let (serve, served) = mpsc::unbounded_channel();
            Self {
                semaphore,
                served,
                serve,
            }
        }

        /// One more that waits. It is in the queue when this returns.
        async fn wait(&self, name: &'static str, share: Share, permits: usize) -> JoinHandle<()> {
            let before = self.semaphore.waiting();
            let (semaphore, serve) = (self.semaphore.clone(), self.serve.clone());
            let waits = tokio::spawn(async move {
                let permit = semaphore.acquire(&share, permits).await.expect("a permit");
                serve.send(name).expect("somebody listens");
                drop(permit);
            });
            while self.semaphore.waiting() == before {
                tokio::task::yield_now().await;
            }
            waits
        }

        async fn order(mut self) -> Vec<&'static str> {
            drop(self.serve);
            let mut order = Vec::new();
            while let Some(name) = self.served.recv().await {
                order.push(name);
            }
            assert!(
                self.semaphore.inner.state.lock().levels.is_empty(),
                "nothing is left behind"
            );
            order
        }
    }

    #[tokio::test]
    async fn a_publications_crowd_waits_for_itself_and_whoever_else_comes_is_next() {
        let semaphore = FairSemaphore::new(1);
        let crowd = share("crowd", "192.0.2.1");
        let held = semaphore.acquire(&crowd, 1).await.expect("free");
        let queue = Queue::new(semaphore);
        for name in ["crowd 1", "crowd 2", "crowd 3"] {
            queue.wait(name, crowd, 1).await;
        }
        queue.wait("other 1", share("other", "192.0.2.1"), 1).await;
        queue.wait("other 2", share("other", "192.0.2.1"), 1).await;
        drop(held);
        let order = queue.order().await;
        assert_eq!(
            order,
            ["other 1", "crowd 1", "other 2", "crowd 2", "crowd 3"]
        );
    }

    #[tokio::test]
    async fn inside_of_a_publication_networks_take_turns_and_many_addresses_of_one_count_as_one() {
        let semaphore = FairSemaphore::new(1);
        let held = semaphore
            .acquire(&share("shop", "192.0.2.1"), 1)
            .await
            .expect("free");
        let queue = Queue::new(semaphore);
        for (name, address) in [
            ("a1", "192.0.2.1"),
            ("a1 again", "192.0.2.1"),
            ("a2", "192.0.2.2"),
            ("a3", "192.0.2.3"),
            ("b", "198.51.100.1"),
            ("b again", "198.51.100.1"),
        ] {
            queue.wait(name, share("shop", address), 1).await;
        }
        drop(held);
        let order = queue.order().await;
        assert_eq!(order, ["b", "a2", "b again", "a3", "a1", "a1 again"]);
    }

    #[tokio::test]
    async fn whoever_holds_less_is_served_before_whoever_holds_more() {
        let semaphore = FairSemaphore::new(3);
        let (much, little) = (share("much", "192.0.2.1"), share("little", "192.0.2.1"));
        let two = semaphore.acquire(&much, 2).await.expect("free");
        let one = semaphore.acquire(&little, 1).await.expect("free");
        let queue = Queue::new(semaphore);
        let stays = queue.wait("much", much, 1).await;
        queue.wait("little 1", little, 1).await;
        queue.wait("little 2", little, 1).await;
        drop(one);
        stays.await.expect("served");
        drop(two);
        assert_eq!(queue.order().await, ["little 1", "little 2", "much"]);
    }

    #[tokio::test]
    async fn a_large_request_is_not_overtaken_for_ever_by_small_ones() {
        let semaphore = FairSemaphore::new(4);
        let (large, small) = (share("large", "192.0.2.1"), share("small", "192.0.2.1"));
        let held = semaphore.acquire(&small, 3).await.expect("free");
        let queue = Queue::new(semaphore.clone());
        queue.wait("large", large, 9).await;
        // One is free, but it is not this one's turn.
        queue.wait("small", small, 1).await;
        drop(held);
        assert_eq!(queue.order().await, ["large", "small"]);
        assert_eq!(semaphore.total_and_free(), (4, 4));
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_the_queue_or_gives_back_what_it_was_granted() {
        let semaphore = FairSemaphore::new(1);
        let shop = share("shop", "192.0.2.1");
        let held = semaphore.acquire(&shop, 1).await.expect("free");
        let queue = Queue::new(semaphore.clone());
        let gone = queue.wait("gone", shop, 1).await;
        queue.wait("stays", shop, 1).await;
        gone.abort();
        assert!(gone.await.expect_err("cut off").is_cancelled());
        drop(held);
        assert_eq!(queue.order().await, ["stays"]);

        let held = semaphore.acquire(&shop, 1).await.expect("free");
        let mut granted = Box::pin(semaphore.acquire(&shop, 1));
        tokio::select! {
            biased;
            _ = &mut granted => panic!("there is one permit"),
            () = std::future::ready(()) => {}
        }
        drop(held);
        assert_eq!(semaphore.total_and_free(), (1, 0));
        drop(granted);
        assert_eq!(semaphore.total_and_free(), (1, 1));
        assert!(semaphore.inner.state.lock().levels.is_empty());
    }

    /// One more that waits. It is in the queue when this returns.
    async fn wait(semaphore: &FairSemaphore, share: Share) -> JoinHandle<Result<(), QueueFull>> {
        let before = semaphore.inner.state.lock().clock;
        let there = semaphore.clone();
        let waits = tokio::spawn(async move { there.acquire(&share, 1).await.map(drop) });
        while semaphore.inner.state.lock().clock == before {
            tokio::task::yield_now().await;
        }
        waits
    }

    #[tokio::test]
    async fn where_as_many_wait_as_may_a_newcomer_takes_the_room_of_a_larger_crowd() {
        let semaphore = FairSemaphore::with_most_waiting(1, [4, 3, 2]);
        let shop = |address| share("shop", address);
        let held = semaphore
            .acquire(&shop("192.0.2.1"), 1)
            .await
            .expect("free");
        let turned_away = async |address| {
            let permit = semaphore.acquire(&shop(address), 1).await;
            assert_eq!(permit.expect_err("too many"), QueueFull, "{address}");
        };
        let first = wait(&semaphore, shop("192.0.2.1")).await;
        let last_of_address = wait(&semaphore, shop("192.0.2.1")).await;
        turned_away("192.0.2.1").await;
        let other_address = wait(&semaphore, shop("192.0.2.2")).await;
        // Of the /24 three wait, of its first address two.
        let third_address = wait(&semaphore, shop("192.0.2.3")).await;
        assert_eq!(last_of_address.await.expect("no panic"), Err(QueueFull));
        turned_away("192.0.2.4").await;
        let elsewhere = wait(&semaphore, shop("198.51.100.1")).await;
        // And now four in all.
        let newcomer = wait(&semaphore, shop("203.0.113.1")).await;
        assert_eq!(third_address.await.expect("no panic"), Err(QueueFull));
        drop(held);
        for served in [first, other_address, elsewhere, newcomer] {
            assert_eq!(served.await.expect("no panic"), Ok(()));
        }
        assert!(semaphore.inner.state.lock().levels.is_empty());
    }
}
