//! The memory that requests may take up together (`limits.bytes_in_flight`), shared out so that no caller takes what
//! others need.
//!
//! A publication may grow as long as at least as much stays free as it then holds, a network as long as twice as much stays
//! free. So a publication alone gets half of the budget and a network alone a third; the more there are, the smaller each
//! one's part, and a newcomer always finds some. A network may always have a little ([`ALWAYS_FREE_PART`]), even when its
//! publication has used up its part: an order from elsewhere must not wait for a crowd.

use crate::{
    fair_semaphore::{FairSemaphore, Holdings, Permit},
    share::Share,
};

/// One network gets at most this part of the budget (one third), and so does one batch or one response.
pub const NETWORK_PART: usize = 3;
/// One network always gets this part of the budget, as long as its wide network leaves as much free as it holds.
const ALWAYS_FREE_PART: usize = 64;

/// A number of bytes to share out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    bytes: FairSemaphore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory is left for this caller")]
pub struct Exhausted;

/// The memory that a request holds, from its body to the last byte of its response. Returned when dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: Permit,
}

fn may_hold(held: &Holdings) -> bool {
    let is_little = held.network <= held.total / ALWAYS_FREE_PART && held.wide <= held.free;
    is_little || (held.publication <= held.free && held.network.saturating_mul(2) <= held.free)
}

impl MemoryBudget {
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes: FairSemaphore::with_rule(bytes, may_hold),
        }
    }

    pub fn reserve(&self, share: &Share) -> Reservation {
        Reservation {
            bytes: self.bytes.permit(share, 0),
        }
    }

    /// Bytes in use, and the whole budget.
    pub fn used(&self) -> (usize, usize) {
        let (total, free) = self.bytes.total_and_free();
        (total - free, total)
    }
}

impl Reservation {
    pub fn bytes(&self) -> usize {
        self.bytes.permits()
    }

    pub fn share(&self) -> &Share {
        self.bytes.share()
    }

    /// Grows to `bytes` in all, if they are free. Never shrinks. If not, the reservation is as it was.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        match bytes.saturating_sub(self.bytes()) {
            0 => Ok(()),
            more => self.bytes.try_add(more).then_some(()).ok_or(Exhausted),
        }
    }

    /// Returns what exceeds `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.give_back(self.bytes().saturating_sub(bytes));
    }

    /// Moves `bytes`, or all there are, into a reservation of their own.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        Self {
            bytes: self.bytes.split(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const LITTLE: usize = 10;
    const MOST: usize = 64 * LITTLE;

    fn share(publication: &str, address: &str) -> Share {
        Share::new(publication, address.parse::<IpAddr>().expect("an address"))
    }

    /// Fills up what a share can have, in small steps.
    fn fill(budget: &MemoryBudget, share: &Share) -> Reservation {
        let mut memory = budget.reserve(share);
        while memory.grow(memory.bytes() + 1).is_ok() {}
        memory
    }

    #[test]
    fn a_network_alone_has_a_third_of_the_budget_and_a_publication_alone_half() {
        let budget = MemoryBudget::new(MOST);
        let first = fill(&budget, &share("shop", "192.0.2.1"));
        assert_eq!(first.bytes(), MOST / NETWORK_PART);
        let mut held = vec![first];
        for n in 2..200 {
            held.push(fill(&budget, &share("shop", &format!("192.0.2.{n}"))));
        }
        let (used, total) = budget.used();
        assert_eq!((used, total), (MOST / 2, MOST));
        drop(held);
        assert_eq!(budget.used(), (0, MOST));
    }

    #[test]
    fn beside_a_full_publication_another_one_has_memory_and_a_third_too() {
        let budget = MemoryBudget::new(MOST);
        let mut held = Vec::new();
        for n in 1..100 {
            held.push(fill(&budget, &share("crowd", &format!("192.0.2.{n}"))));
        }
        for (publication, part) in [("other", 9), ("third", 14)] {
            let memory = fill(&budget, &share(publication, "192.0.2.1"));
            assert!(memory.bytes() >= MOST / part, "{memory:?}");
            held.push(memory);
        }
    }

    #[test]
    fn a_network_has_a_little_also_where_its_publication_has_had_its_part() {
        let budget = MemoryBudget::new(MOST);
        let mut crowd = Vec::new();
        for n in 1..100 {
            crowd.push(fill(&budget, &share("shop", &format!("192.0.2.{n}"))));
        }
        let mut memory = budget.reserve(&share("shop", "198.51.100.1"));
        assert_eq!(memory.grow(LITTLE), Ok(()));
        assert_eq!(memory.grow(LITTLE + 1), Err(Exhausted));
        assert_eq!(memory.bytes(), LITTLE);
    }

    #[test]
    fn a_reservation_gives_back_what_it_is_split_or_shrunk_by() {
        let budget = MemoryBudget::new(MOST);
        let mut memory = budget.reserve(&share("shop", "192.0.2.1"));
        memory.grow(100).expect("memory");
        memory.grow(50).expect("memory already");
        assert_eq!(memory.bytes(), 100);
        let part = memory.split(30);
        assert_eq!(
            (memory.bytes(), part.bytes(), budget.used().0),
            (70, 30, 100)
        );
        memory.shrink_to(60);
        assert_eq!(budget.used().0, 90);
        drop(part);
        drop(memory);
        assert_eq!(budget.used().0, 0);
    }
}
