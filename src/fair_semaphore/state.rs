//! Who holds and who waits, and who is next.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;

use crate::share::Share;

/// How the permits may be spread.
#[derive(Debug)]
pub(super) struct Rules {
    pub total: usize,
    /// Whether a share may hold what it asks for. The permits must be free in any case.
    pub may_hold: fn(&Holdings) -> bool,
    /// How many may wait, of one publication, of one wide network and of one network.
    pub most_waiting: [usize; 3],
}

/// How the permits would be spread if a request were granted.
#[derive(Debug)]
pub struct Holdings {
    pub total: usize,
    pub free: usize,
    /// Held by the share's publication, and in it by its wide network and by its network.
    pub publication: usize,
    pub wide: usize,
    pub network: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wait already")]
pub struct QueueFull;

#[derive(Debug)]
pub(super) struct State {
    pub free: usize,
    /// What is held or waited for, at each level of a share.
    pub levels: HashMap<u64, Level>,
    pub waiting: HashMap<Share, VecDeque<Waiter>>,
    /// Counts arrivals and grants.
    pub clock: u64,
}

#[derive(Debug, Default)]
pub(super) struct Level {
    held: usize,
    waiters: usize,
    /// When it was last granted anything, by the state's clock.
    served: u64,
}

#[derive(Debug)]
pub(super) struct Waiter {
    arrival: u64,
    permits: usize,
    ready: oneshot::Sender<()>,
}

impl State {
    pub fn new(free: usize) -> Self {
        Self {
            free,
            levels: HashMap::new(),
            waiting: HashMap::new(),
            clock: 0,
        }
    }

    /// Whether a share may hold `permits` more.
    pub fn may_hold(&self, rules: &Rules, share: &Share, permits: usize) -> bool {
        let Some(free) = self.free.checked_sub(permits) else {
            return false;
        };
        let [publication, wide, network] = share.levels.map(|level| {
            let level = self.levels.get(&level);
            level.map_or(0, |level| level.held) + permits
        });
        (rules.may_hold)(&Holdings {
            total: rules.total,
            free,
            publication,
            wide,
            network,
        })
    }

    pub fn hold(&mut self, share: &Share, permits: usize) {
        self.free -= permits;
        self.clock += 1;
        for level in share.levels {
            let level = self.levels.entry(level).or_default();
            level.held += permits;
            level.served = self.clock;
        }
    }

    pub fn give_back(&mut self, share: &Share, permits: usize) {
        self.free += permits;
        for key in share.levels {
            self.change(key, |level| level.held -= permits);
        }
    }

    pub fn queue(
        &mut self,
        rules: &Rules,
        share: &Share,
        permits: usize,
        ready: oneshot::Sender<()>,
    ) -> Result<u64, QueueFull> {
        for (level, most) in rules.most_waiting.into_iter().enumerate() {
            let waiters = self.levels.get(&share.levels[level]);
            if waiters.map_or(0, |level| level.waiters) >= most {
                self.displace(share, level)?;
            }
        }
        self.clock += 1;
        for level in share.levels {
            self.levels.entry(level).or_default().waiters += 1;
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
    pub fn unqueue(&mut self, share: &Share, arrival: u64) -> Option<Waiter> {
        let waiting = self.waiting.get_mut(share)?;
        let index = waiting
            .iter()
            .position(|waiter| waiter.arrival == arrival)?;
        let waiter = waiting.remove(index)?;
        if waiting.is_empty() {
            self.waiting.remove(share);
        }
        for key in share.levels {
            self.change(key, |level| level.waiters -= 1);
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

    pub fn serve(&mut self, rules: &Rules) {
        while let Some((share, arrival)) = self.next(rules) {
            let Some(waiter) = self.unqueue(&share, arrival) else {
                return;
            };
            self.hold(&share, waiter.permits);
            // A waiter that is gone meanwhile gives it back itself.
            let _ = waiter.ready.send(());
        }
    }

    /// The next waiter to be served: at each level who holds least, then who was served longest ago; in the end who came first.
    fn next(&self, rules: &Rules) -> Option<(Share, u64)> {
        let first = |(share, waiters): (&Share, &VecDeque<Waiter>)| {
            let waiter = waiters.front()?;
            Some((*share, waiter.arrival, waiter.permits))
        };
        let rank = |(share, arrival, _): &(Share, u64, usize)| {
            let levels = share.levels.map(|key| {
                let level = self.levels.get(&key);
                level.map_or((0, 0), |level| (level.held, level.served))
            });
            (levels, *arrival)
        };
        let firsts = self.waiting.iter().filter_map(first);
        let (share, arrival, permits) = firsts.min_by_key(rank)?;
        // It holds up all others until it can be served.
        self.may_hold(rules, &share, permits)
            .then_some((share, arrival))
    }
}
