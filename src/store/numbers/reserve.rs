//! The reserve of numbers in memory, and leases of it.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::Kind;
use crate::{config::Publication, order::decide::FreeNumbers};

/// The fewest that are reserved at a time, and what a restart leaves unused where little happens.
const SMALLEST_BLOCK: usize = 32;
/// The most that is reserved ahead of need under load.
const LARGEST_BLOCK: usize = 4096;
/// Blocks grow as long as each is used up within this time.
const BUSY: Duration = Duration::from_secs(1);

/// The numbers of every publication that are reserved and not given yet.
#[derive(Debug, Default)]
pub struct Reserve {
    /// By publication, and there by kind.
    pools: Mutex<HashMap<String, [Pool; 4]>>,
    /// By publication, the version of the catalogue that the reserve is known to be free of.
    imports: Mutex<HashMap<String, i64>>,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    /// In order, so that numbers follow the order of arrival as nearly as gaps allow.
    pub free: VecDeque<i32>,
    block: usize,
    reserved_at: Option<Instant>,
    /// One past the last number that this instance ever reserved. A database that was put back to an earlier state, or a
    /// server that took over without the last commits, would give those after its own counter again.
    pub next: i64,
}

impl Pool {
    pub(super) fn give_back(&mut self, numbers: impl IntoIterator<Item = i32>) {
        let before = self.free.len();
        self.free.extend(numbers);
        if self.free.len() > before {
            self.free.make_contiguous().sort_unstable();
        }
    }

    /// How large a block to reserve: twice the last one while they follow fast on one another.
    pub(super) fn next_block(&mut self, missing: usize) -> usize {
        let is_busy = self.reserved_at.is_some_and(|at| at.elapsed() < BUSY);
        self.block = if is_busy {
            (self.block * 2).min(LARGEST_BLOCK)
        } else {
            SMALLEST_BLOCK
        };
        self.reserved_at = Some(Instant::now());
        self.block.max(missing)
    }
}

fn by_kind(numbers: FreeNumbers) -> [(Kind, VecDeque<i32>); 3] {
    [
        (Kind::Order, numbers.order),
        (Kind::Client, numbers.client),
        (Kind::Address, numbers.address),
    ]
}

impl Reserve {
    fn pools<R>(&self, publication: &str, work: impl FnOnce(&mut [Pool; 4]) -> R) -> R {
        // A panic while the lock was held loses at most some numbers.
        let mut all = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pools) = all.get_mut(publication) {
            return work(pools);
        }
        work(all.entry(publication.to_owned()).or_default())
    }

    pub(super) fn pool<R>(
        &self,
        publication: &str,
        kind: Kind,
        work: impl FnOnce(&mut Pool) -> R,
    ) -> R {
        self.pools(publication, |pools| work(&mut pools[kind as usize]))
    }

    fn give_back(&self, publication: &str, numbers: FreeNumbers) {
        self.pools(publication, |pools| {
            for (kind, numbers) in by_kind(numbers) {
                pools[kind as usize].give_back(numbers);
            }
        });
    }

    /// Whether there may be imported numbers in the reserve: asked once for each version of a publication's catalogue.
    pub fn is_new(&self, publication: &str, imports: i64) -> bool {
        let mut seen = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(publication.to_owned(), imports) != Some(imports)
    }

    /// Takes numbers that records bear out of the reserve.
    pub fn discard(&self, publication: &str, taken: FreeNumbers) {
        self.pools(publication, |pools| {
            for (kind, taken) in by_kind(taken) {
                let free = &mut pools[kind as usize].free;
                for number in taken {
                    if let Ok(index) = free.binary_search(&number) {
                        free.remove(index);
                    }
                }
            }
        });
    }
}

/// Numbers out of the reserve, for one transaction. Dropped, all of them return, for then no record bears them.
#[derive(Debug)]
pub struct Lease<'r> {
    pub(super) reserve: &'r Reserve,
    pub(super) publication: &'r Publication,
    pub(super) numbers: FreeNumbers,
    /// What the decision left over.
    unused: FreeNumbers,
}

impl<'r> Lease<'r> {
    pub(super) fn new(reserve: &'r Reserve, publication: &'r Publication) -> Self {
        Self {
            reserve,
            publication,
            numbers: FreeNumbers::default(),
            unused: FreeNumbers::default(),
        }
    }

    /// All its numbers, for a decision to take from.
    pub fn offer(&mut self) -> &mut FreeNumbers {
        self.unused.clone_from(&self.numbers);
        &mut self.unused
    }

    pub fn is_used(&self) -> bool {
        self.numbers != self.unused
    }

    /// Records bear the numbers that were used, or may bear them as far as anybody knows. Only the unused ones return.
    pub fn keep_used(mut self) {
        self.numbers = mem::take(&mut self.unused);
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // A panic may have come while PostgreSQL was storing records that bear them.
        if !thread::panicking() {
            let numbers = mem::take(&mut self.numbers);
            self.reserve.give_back(&self.publication.name, numbers);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{panic, path::Path};

    use super::*;
    use crate::config::{Config, Environment};

    fn publication() -> Publication {
        let text = "[[publication]]\nname = 'shop'\nanonymous = true\n";
        let config = Config::parse(Path::new("test.toml"), text, &Environment::default());
        config.expect("settings").publications.remove(0)
    }

    fn orders(numbers: &[i32]) -> FreeNumbers {
        FreeNumbers {
            order: numbers.iter().copied().collect(),
            ..FreeNumbers::default()
        }
    }

    fn free(reserve: &Reserve) -> Vec<i32> {
        reserve.pool("shop", Kind::Order, |pool| {
            pool.free.iter().copied().collect()
        })
    }

    /// A lease of 4, 5 and 6, of which 4 is used; 9 is still in the reserve.
    fn lease<'r>(reserve: &'r Reserve, publication: &'r Publication) -> Lease<'r> {
        reserve.give_back("shop", orders(&[9]));
        let mut lease = Lease::new(reserve, publication);
        lease.numbers = orders(&[4, 5, 6]);
        assert_eq!(lease.offer().order.pop_front(), Some(4));
        assert!(lease.is_used());
        lease
    }

    #[test]
    fn a_dropped_lease_returns_all_its_numbers_in_their_order() {
        let (reserve, publication) = (Reserve::default(), publication());
        drop(lease(&reserve, &publication));
        assert_eq!(free(&reserve), [4, 5, 6, 9]);
    }

    #[test]
    fn numbers_that_records_bear_or_may_bear_do_not_return() {
        let (reserve, publication) = (Reserve::default(), publication());
        lease(&reserve, &publication).keep_used();
        assert_eq!(free(&reserve), [5, 6, 9]);
    }

    #[test]
    fn nor_do_those_of_a_transaction_that_panics() {
        let (reserve, publication) = (Reserve::default(), publication());
        let panicked = panic::catch_unwind(|| {
            let _lease = lease(&reserve, &publication);
            panic::resume_unwind(Box::new("while it is being stored"));
        });
        assert!(panicked.is_err());
        assert_eq!(free(&reserve), [9]);
    }

    #[test]
    fn a_decision_that_is_made_again_has_all_numbers_again() {
        let (reserve, publication) = (Reserve::default(), publication());
        let mut lease = lease(&reserve, &publication);
        assert_eq!(lease.offer().order, [4, 5, 6]);
        assert!(!lease.is_used());
    }

    #[test]
    fn numbers_that_records_brought_along_leave_the_reserve() {
        let reserve = Reserve::default();
        reserve.give_back("shop", orders(&[1, 2, 3]));
        reserve.discard("shop", orders(&[2, 7]));
        assert_eq!(free(&reserve), [1, 3]);
    }
}
