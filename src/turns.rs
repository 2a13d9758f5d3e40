//! Permits that are shared fairly. Whoever waits is served by publication first, then by network, then by arrival: a crowd
//! waits for itself, and whoever else comes is next.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::share::Share;

/// So many permits, handed out fairly. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Turns {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    most: usize,
    /// Whether a share may have what it asks for; so many permits must be free besides.
    may: fn(&Holdings) -> bool,
    /// Whether the one whose turn it is holds up the others until what it asks for is free. Else those go first who may.
    in_order: bool,
    /// How many may wait, in all of a publication, of a wide network and of a network.
    most_waiting: [usize; 3],
    state: Mutex<State>,
}

/// What is held once a request is granted.
#[derive(Debug)]
pub(crate) struct Holdings {
    /// Of all permits …
    pub most: usize,
    /// … so many are free.
    pub free: usize,
    /// The share's publication holds so many, …
    pub publication: usize,
    /// … its wide network in that publication, …
    pub wide: usize,
    /// … and its network.
    pub network: usize,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// What is held or waited for, at each level of a share.
    levels: HashMap<u64, Level>,
    /// Who waits, by share.
    waiting: HashMap<Share, VecDeque<Waiter>>,
    /// Counts arrivals and grants.
    clock: u64,
}

#[derive(Debug, Default)]
struct Level {
    held: usize,
    /// Permits that are waited for.
    wanted: usize,
    waiters: usize,
    /// When it was granted something last.
    served: u64,
}

#[derive(Debug)]
struct Waiter {
    arrival: u64,
    permits: usize,
    ready: oneshot::Sender<()>,
}

/// Too many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wait already")]
pub struct TooMany;

/// Permits that are held. Dropped, it gives them back.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    share: Share,
    permits: usize,
}

/// A request that waits. Dropped, it leaves the queue, or gives back what it was granted meanwhile.
struct Waiting<'t> {
    turns: &'t Turns,
    share: Share,
    arrival: u64,
    permits: usize,
}

impl Turns {
    /// So many permits.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self::with(permits, |_| true, true, [usize::MAX; 3])
    }

    /// The same, and at most so many wait, in all of a publication, of a wide network and of a network. Past that a newcomer
    /// takes the room of a network that has more waiting than its own, or is turned away.
    #[must_use]
    pub fn with_most_waiting(permits: usize, most_waiting: [usize; 3]) -> Self {
        Self::with(permits, |_| true, true, most_waiting)
    }

    /// The same where a share may have only what `may` says. Whoever may not waits, and keeps nobody else waiting.
    pub(crate) fn with_rule(permits: usize, may: fn(&Holdings) -> bool) -> Self {
        Self::with(permits, may, false, [usize::MAX; 3])
    }

    fn with(
        most: usize,
        may: fn(&Holdings) -> bool,
        in_order: bool,
        most_waiting: [usize; 3],
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                most,
                may,
                in_order,
                most_waiting,
                state: Mutex::new(State {
                    free: most,
                    levels: HashMap::new(),
                    waiting: HashMap::new(),
                    clock: 0,
                }),
            }),
        }
    }

    /// Waits for so many permits; where there are not as many at all, for all of them. Dropped, it leaves the queue.
    ///
    /// # Errors
    /// [`TooMany`], where it was said how many may wait.
    pub async fn take(&self, share: &Share, permits: usize) -> Result<Turn, TooMany> {
        let permits = permits.clamp(1, self.inner.most.max(1));
        let (waiting, ready) = {
            let mut state = self.lock();
            if (state.waiting.is_empty() || !self.inner.in_order)
                && state.may_hold(&self.inner, share, permits, false)
            {
                state.hold(share, permits);
                return Ok(self.turn(share, permits));
            }
            let (ready, is_ready) = oneshot::channel();
            let arrival = state.queue(&self.inner, share, permits, ready)?;
            state.serve(&self.inner);
            let waiting = Waiting {
                turns: self,
                share: *share,
                arrival,
                permits,
            };
            (waiting, is_ready)
        };
        // Its sender goes with a waiter that had to make room, which then neither waits nor holds anything.
        let is_granted = ready.await.is_ok();
        std::mem::forget(waiting);
        if is_granted {
            Ok(self.turn(share, permits))
        } else {
            Err(TooMany)
        }
    }

    /// So many permits at once, or none.
    pub(crate) fn try_take(&self, share: &Share, permits: usize) -> Option<Turn> {
        let mut state = self.lock();
        if !state.may_hold(&self.inner, share, permits, true) {
            return None;
        }
        state.hold(share, permits);
        drop(state);
        Some(self.turn(share, permits))
    }

    /// Nothing yet, to be grown.
    pub(crate) fn turn(&self, share: &Share, permits: usize) -> Turn {
        Turn {
            turns: self.clone(),
            share: *share,
            permits,
        }
    }

    /// How many permits there are, and how many of them are free.
    #[must_use]
    pub fn most_and_free(&self) -> (usize, usize) {
        (self.inner.most, self.lock().free)
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.values().map(VecDeque::len).sum()
    }

    /// How many of a share wait.
    #[cfg(test)]
    pub(crate) fn waiting_of(&self, share: &Share) -> usize {
        self.lock().waiting.get(share).map_or(0, VecDeque::len)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, share: &Share, permits: usize) {
        if permits > 0 {
            let mut state = self.lock();
            state.give_back(share, permits);
            state.serve(&self.inner);
        }
    }
}

impl State {
    /// Whether a share may have so many permits more. Whoever does not wait (`passing`) leaves alone what his publication
    /// waits for.
    fn may_hold(&self, inner: &Inner, share: &Share, permits: usize, passing: bool) -> bool {
        let Some(free) = self.free.checked_sub(permits) else {
            return false;
        };
        let [publication, wide, network] = share.levels.map(|level| self.levels.get(&level));
        let held = |level: Option<&Level>| level.map_or(0, |level| level.held) + permits;
        let wanted = publication.map_or(0, |level| if passing { level.wanted } else { 0 });
        (inner.may)(&Holdings {
            most: inner.most,
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
    ) -> Result<u64, TooMany> {
        for (place, most) in inner.most_waiting.into_iter().enumerate() {
            let level = self.levels.get(&share.levels[place]);
            if level.map_or(0, |level| level.waiters) >= most {
                self.make_room(share, place)?;
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

    /// Where too many wait at that level of a newcomer's share, whoever came last from the network with most of them makes
    /// room; not for a newcomer whose network would then have as many.
    fn make_room(&mut self, newcomer: &Share, place: usize) -> Result<(), TooMany> {
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
            .filter(|(share, _)| share.levels[place] == newcomer.levels[place])
            .filter_map(|(share, waiters)| Some((crowd(share), waiters.back()?.arrival, *share)));
        let last = at_that_level.max_by_key(|(crowd, arrival, _)| (*crowd, *arrival));
        let (its_crowd, arrival, share) = last.ok_or(TooMany)?;
        let (wide, network) = crowd(newcomer);
        let is_of_its_network = share.levels[1] == newcomer.levels[1];
        if its_crowd <= (wide + usize::from(!is_of_its_network), network + 1) {
            return Err(TooMany);
        }
        self.unqueue(&share, arrival).map(drop).ok_or(TooMany)
    }

    /// Takes a waiter out; `None` where it was served already.
    fn unqueue(&mut self, share: &Share, arrival: u64) -> Option<Waiter> {
        let waiting = self.waiting.get_mut(share)?;
        let place = waiting
            .iter()
            .position(|waiter| waiter.arrival == arrival)?;
        let waiter = waiting.remove(place)?;
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

    /// Grants what can be granted, fairly.
    fn serve(&mut self, inner: &Inner) {
        while let Some((share, arrival)) = self.next(inner) {
            let Some(waiter) = self.unqueue(&share, arrival) else {
                return;
            };
            self.hold(&share, waiter.permits);
            // One that is gone meanwhile gives back what it was granted.
            let _ = waiter.ready.send(());
        }
    }

    /// Whose turn it is: at each level whoever holds least, then whoever was served longest ago; at last whoever came
    /// first.
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

impl Turn {
    /// How many it holds.
    #[must_use]
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// How many there are in all.
    pub(crate) fn most(&self) -> usize {
        self.turns.inner.most
    }

    /// Whose it is.
    #[must_use]
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// Takes so many more at once, or none.
    pub(crate) fn try_add(&mut self, permits: usize) -> bool {
        let more = self.turns.try_take(&self.share, permits);
        more.map(|more| self.merge(more)).is_some()
    }

    /// Waits for so many more.
    pub(crate) async fn add(&mut self, permits: usize) -> Result<(), TooMany> {
        let more = self.turns.take(&self.share, permits).await?;
        self.merge(more);
        Ok(())
    }

    fn merge(&mut self, mut more: Self) {
        self.permits += std::mem::take(&mut more.permits);
    }

    /// Gives so many back, or all that it has.
    pub(crate) fn give_back(&mut self, permits: usize) {
        let permits = permits.min(self.permits);
        self.permits -= permits;
        self.turns.give_back(&self.share, permits);
    }

    /// Takes so many out, or all that it has, into a turn of their own.
    pub(crate) fn split(&mut self, permits: usize) -> Self {
        let permits = permits.min(self.permits);
        self.permits -= permits;
        self.turns.turn(&self.share, permits)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.give_back(&self.share, self.permits);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        if state.unqueue(&self.share, self.arrival).is_none() {
            state.give_back(&self.share, self.permits);
        }
        // Whoever stood behind it may be next.
        state.serve(&self.turns.inner);
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

    /// Who waits, and in which order they are served. Each gives its turn back at once.
    struct Queue {
        turns: Turns,
        served: mpsc::UnboundedReceiver<&'static str>,
        serve: mpsc::UnboundedSender<&'static str>,
    }

    impl Queue {
        fn new(turns: Turns) -> Self {
            let (serve, served) = mpsc::unbounded_channel();
            Self {
                turns,
                served,
                serve,
            }
        }

        /// One more that waits. It is in the queue when this returns.
        async fn wait(&self, name: &'static str, share: Share, permits: usize) -> JoinHandle<()> {
            let before = self.turns.waiting();
            let (turns, serve) = (self.turns.clone(), self.serve.clone());
            let waits = tokio::spawn(async move {
                let turn = turns.take(&share, permits).await.expect("a turn");
                serve.send(name).expect("somebody listens");
                drop(turn);
            });
            while self.turns.waiting() == before {
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
                self.turns.lock().levels.is_empty(),
                "nothing is left behind"
            );
            order
        }
    }

    #[tokio::test]
    async fn a_publications_crowd_waits_for_itself_and_whoever_else_comes_is_next() {
        let turns = Turns::new(1);
        let crowd = share("crowd", "192.0.2.1");
        let held = turns.take(&crowd, 1).await.expect("free");
        let queue = Queue::new(turns);
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
        let turns = Turns::new(1);
        let held = turns
            .take(&share("shop", "192.0.2.1"), 1)
            .await
            .expect("free");
        let queue = Queue::new(turns);
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
        let turns = Turns::new(3);
        let (much, little) = (share("much", "192.0.2.1"), share("little", "192.0.2.1"));
        let two = turns.take(&much, 2).await.expect("free");
        let one = turns.take(&little, 1).await.expect("free");
        let queue = Queue::new(turns);
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
        let turns = Turns::new(4);
        let (large, small) = (share("large", "192.0.2.1"), share("small", "192.0.2.1"));
        let held = turns.take(&small, 3).await.expect("free");
        let queue = Queue::new(turns.clone());
        queue.wait("large", large, 9).await;
        // One is free, but it is not this one's turn.
        queue.wait("small", small, 1).await;
        drop(held);
        assert_eq!(queue.order().await, ["large", "small"]);
        assert_eq!(turns.most_and_free(), (4, 4));
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_the_queue_or_gives_back_what_it_was_granted() {
        let turns = Turns::new(1);
        let shop = share("shop", "192.0.2.1");
        let held = turns.take(&shop, 1).await.expect("free");
        let queue = Queue::new(turns.clone());
        let gone = queue.wait("gone", shop, 1).await;
        queue.wait("stays", shop, 1).await;
        gone.abort();
        assert!(gone.await.expect_err("cut off").is_cancelled());
        drop(held);
        assert_eq!(queue.order().await, ["stays"]);

        let held = turns.take(&shop, 1).await.expect("free");
        let mut granted = Box::pin(turns.take(&shop, 1));
        tokio::select! {
            biased;
            _ = &mut granted => panic!("there is one turn"),
            () = std::future::ready(()) => {}
        }
        drop(held);
        assert_eq!(turns.most_and_free(), (1, 0));
        drop(granted);
        assert_eq!(turns.most_and_free(), (1, 1));
        assert!(turns.lock().levels.is_empty());
    }

    /// One more that waits. It is in the queue when this returns.
    async fn wait(turns: &Turns, share: Share) -> JoinHandle<Result<(), TooMany>> {
        let before = turns.lock().clock;
        let there = turns.clone();
        let waits = tokio::spawn(async move { there.take(&share, 1).await.map(drop) });
        while turns.lock().clock == before {
            tokio::task::yield_now().await;
        }
        waits
    }

    #[tokio::test]
    async fn where_as_many_wait_as_may_a_newcomer_takes_the_room_of_a_larger_crowd() {
        let turns = Turns::with_most_waiting(1, [4, 3, 2]);
        let shop = |address| share("shop", address);
        let held = turns.take(&shop("192.0.2.1"), 1).await.expect("free");
        let turned_away = async |address| {
            let turn = turns.take(&shop(address), 1).await;
            assert_eq!(turn.expect_err("too many"), TooMany, "{address}");
        };
        let first = wait(&turns, shop("192.0.2.1")).await;
        let last_of_address = wait(&turns, shop("192.0.2.1")).await;
        turned_away("192.0.2.1").await;
        let other_address = wait(&turns, shop("192.0.2.2")).await;
        // Of the /24 three wait, of its first address two.
        let third_address = wait(&turns, shop("192.0.2.3")).await;
        assert_eq!(last_of_address.await.expect("no panic"), Err(TooMany));
        turned_away("192.0.2.4").await;
        let elsewhere = wait(&turns, shop("198.51.100.1")).await;
        // And now four in all.
        let newcomer = wait(&turns, shop("203.0.113.1")).await;
        assert_eq!(third_address.await.expect("no panic"), Err(TooMany));
        drop(held);
        for served in [first, other_address, elsewhere, newcomer] {
            assert_eq!(served.await.expect("no panic"), Ok(()));
        }
        assert!(turns.lock().levels.is_empty());
    }
}
