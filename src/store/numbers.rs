//! Numbers of a publication, given from blocks that this instance reserves (contract §4.3): gaps are fine, doubles
//! never.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Error, Store};
use crate::{
    config::Publication,
    order::decide::{FreeNumbers, Shortage},
};

/// The least that is reserved at a time. A restart leaves at most so many unused.
const SMALLEST_BLOCK: usize = 32;
/// The most that is reserved ahead of need under load.
const LARGEST_BLOCK: usize = 4096;

/// What is numbered on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Orders.
    Order,
    /// Clients.
    Client,
    /// Addresses.
    Address,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Client => "client",
            Self::Address => "address",
        }
    }
}

/// Numbers reserved and not given yet, of every publication.
#[derive(Debug, Default)]
pub struct Numbers {
    pools: Mutex<HashMap<(String, Kind), Pool>>,
}

#[derive(Debug, Default)]
struct Pool {
    free: VecDeque<i32>,
    block: usize,
    reserved_at: Option<Instant>,
}

impl Numbers {
    fn pools(&self) -> MutexGuard<'_, HashMap<(String, Kind), Pool>> {
        // A panic while the lock was held loses at most some numbers.
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, publication: &str, kind: Kind, count: usize) -> VecDeque<i32> {
        let mut pools = self.pools();
        let Some(pool) = pools.get_mut(&(publication.to_owned(), kind)) else {
            return VecDeque::new();
        };
        let count = count.min(pool.free.len());
        pool.free.drain(..count).collect()
    }

    /// Takes up to that many free numbers of each kind out of the reserve, to be given back if they are not used.
    #[must_use]
    pub fn lease(&self, publication: &str, want: Shortage) -> FreeNumbers {
        FreeNumbers {
            order: self.take(publication, Kind::Order, want.order),
            client: self.take(publication, Kind::Client, want.client),
            address: self.take(publication, Kind::Address, want.address),
        }
    }

    /// Gives back what was leased and certainly not given to a record.
    pub fn give_back(&self, publication: &str, numbers: FreeNumbers) {
        let mut pools = self.pools();
        for (kind, numbers) in [
            (Kind::Order, numbers.order),
            (Kind::Client, numbers.client),
            (Kind::Address, numbers.address),
        ] {
            if numbers.is_empty() {
                continue;
            }
            let free = &mut pools
                .entry((publication.to_owned(), kind))
                .or_default()
                .free;
            free.extend(numbers);
            // The lowest first, so that numbers follow the order of arrival as nearly as gaps allow.
            free.make_contiguous().sort_unstable();
        }
    }

    /// Drops the reserve of a publication: some of it turned out to be taken.
    pub fn forget(&self, publication: &str) {
        self.pools().retain(|(name, _), _| name != publication);
    }

    /// How large a block to reserve, growing while they follow one another within a second.
    fn block(&self, publication: &str, kind: Kind, short: usize) -> usize {
        let mut pools = self.pools();
        let pool = pools.entry((publication.to_owned(), kind)).or_default();
        let busy = pool
            .reserved_at
            .is_some_and(|at| at.elapsed() < Duration::from_secs(1));
        pool.block = if busy {
            (pool.block * 2).min(LARGEST_BLOCK)
        } else {
            SMALLEST_BLOCK
        };
        pool.reserved_at = Some(Instant::now());
        pool.block.max(short)
    }
}

impl Store {
    /// Reserves what was short, and more when it goes fast. The numbers come back in `numbers`, behind what is there.
    ///
    /// # Errors
    /// When the database is away or a kind's numbers are used up.
    pub async fn reserve(
        &self,
        reserve: &Numbers,
        publication: &Publication,
        short: Shortage,
        numbers: &mut FreeNumbers,
    ) -> Result<(), Error> {
        let first = publication.first_numbers;
        for (kind, short, first, free) in [
            (Kind::Order, short.order, first.order, &mut numbers.order),
            (
                Kind::Client,
                short.client,
                first.client,
                &mut numbers.client,
            ),
            (
                Kind::Address,
                short.address,
                first.address,
                &mut numbers.address,
            ),
        ] {
            while free.len() < short {
                let block = reserve.block(&publication.name, kind, short - free.len());
                let (start, end) = self
                    .reserve_block(&publication.name, kind, first, block)
                    .await?;
                free.extend(
                    self.free_between(&publication.name, kind, start, end)
                        .await?,
                );
            }
            let surplus = free.split_off(short);
            let mut back = FreeNumbers::default();
            match kind {
                Kind::Order => back.order = surplus,
                Kind::Client => back.client = surplus,
                Kind::Address => back.address = surplus,
            }
            reserve.give_back(&publication.name, back);
        }
        Ok(())
    }

    /// Moves the counter on by `count`, or by one where no such block is left, and returns the block's first and last
    /// number.
    async fn reserve_block(
        &self,
        publication: &str,
        kind: Kind,
        first: i32,
        count: usize,
    ) -> Result<(i64, i64), Error> {
        let mut count = i64::try_from(count)
            .unwrap_or(i64::MAX)
            .min(i64::from(i32::MAX));
        loop {
            let next = sqlx::query_scalar!(
                "UPDATE number_counter SET next = next + $3
                 WHERE publication = $1 AND kind = $2 AND next <= 2147483648 - $3
                 RETURNING next",
                publication,
                kind.as_str(),
                count,
            )
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::Unavailable)?;
            if let Some(next) = next {
                return Ok((next - count, next - 1));
            }
            let made = sqlx::query!(
                "INSERT INTO number_counter (publication, kind, next) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                publication,
                kind.as_str(),
                i64::from(first),
            )
            .execute(&self.pool)
            .await
            .map_err(Error::Unavailable)?;
            if made.rows_affected() == 0 {
                if count == 1 {
                    return Err(Error::NumbersUsedUp(kind.as_str()));
                }
                count = 1;
            }
        }
    }

    /// The numbers of a block that no record bears: a sender may have brought some along.
    async fn free_between(
        &self,
        publication: &str,
        kind: Kind,
        start: i64,
        end: i64,
    ) -> Result<Vec<i32>, Error> {
        let (Ok(start), Ok(end)) = (i32::try_from(start), i32::try_from(end)) else {
            return Err(Error::NumbersUsedUp(kind.as_str()));
        };
        // Three texts rather than one with the table's name pasted in: each is checked when we compile.
        let taken = match kind {
            Kind::Order => {
                sqlx::query_scalar!(
                    "SELECT number FROM orders WHERE publication = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
                    publication,
                    start,
                    end,
                )
                .fetch_all(&self.pool)
                .await
            }
            Kind::Client => {
                sqlx::query_scalar!(
                    "SELECT number FROM client WHERE publication = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
                    publication,
                    start,
                    end,
                )
                .fetch_all(&self.pool)
                .await
            }
            Kind::Address => {
                sqlx::query_scalar!(
                    "SELECT number FROM address WHERE publication = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
                    publication,
                    start,
                    end,
                )
                .fetch_all(&self.pool)
                .await
            }
        }
        .map_err(Error::Unavailable)?;
        Ok((start..=end)
            .filter(|number| taken.binary_search(number).is_err())
            .collect())
    }
}
