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
    /// Products; they are numbered by import only.
    Product,
}

impl Kind {
    /// As in the database and for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Client => "client",
            Self::Address => "address",
            Self::Product => "product",
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
    /// One past the last number that this instance ever reserved. A database that was put back to an earlier state, or a
    /// server that took over without the last commits, would give those after its own counter again.
    next: i64,
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

    /// Takes numbers that records bear out of the reserve.
    pub fn discard(&self, publication: &str, taken: &FreeNumbers) {
        let mut pools = self.pools();
        for (kind, taken) in [
            (Kind::Order, &taken.order),
            (Kind::Client, &taken.client),
            (Kind::Address, &taken.address),
        ] {
            if let Some(pool) = pools.get_mut(&(publication.to_owned(), kind)) {
                for number in taken {
                    // Given back, they stand in their order.
                    if let Ok(place) = pool.free.binary_search(number) {
                        pool.free.remove(place);
                    }
                }
            }
        }
    }

    /// The reserve of one kind, which stays where it is.
    fn held(&self, publication: &str, kind: Kind) -> Vec<i32> {
        let pools = self.pools();
        let pool = pools.get(&(publication.to_owned(), kind));
        pool.map(|pool| pool.free.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Where the next block begins at the earliest.
    fn next(&self, publication: &str, kind: Kind) -> i64 {
        let pools = self.pools();
        let pool = pools.get(&(publication.to_owned(), kind));
        pool.map_or(0, |pool| pool.next)
    }

    /// Takes note of a block.
    fn saw(&self, publication: &str, kind: Kind, end: i64) {
        let mut pools = self.pools();
        let pool = pools.entry((publication.to_owned(), kind)).or_default();
        pool.next = pool.next.max(end + 1);
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
    /// Fills `numbers` up to what is wanted: out of the reserve, and where that has no more, with a new block, larger
    /// when it goes fast. They come behind what is there.
    ///
    /// # Errors
    /// When the database is away or a kind's numbers are used up.
    pub async fn reserve(
        &self,
        reserve: &Numbers,
        publication: &Publication,
        want: Shortage,
        numbers: &mut FreeNumbers,
    ) -> Result<(), Error> {
        let first = publication.first_numbers;
        for (kind, want, first, free) in [
            (Kind::Order, want.order, first.order, &mut numbers.order),
            (Kind::Client, want.client, first.client, &mut numbers.client),
            (
                Kind::Address,
                want.address,
                first.address,
                &mut numbers.address,
            ),
        ] {
            let missing = want.saturating_sub(free.len());
            free.extend(reserve.take(&publication.name, kind, missing));
            while free.len() < want {
                let block = reserve.block(&publication.name, kind, want - free.len());
                let at_least = reserve.next(&publication.name, kind);
                let (start, end) = self
                    .reserve_block(&publication.name, kind, first, at_least, block)
                    .await?;
                reserve.saw(&publication.name, kind, end);
                free.extend(
                    self.free_between(&publication.name, kind, start, end)
                        .await?,
                );
            }
            let surplus = free.split_off(want.min(free.len()));
            let mut back = FreeNumbers::default();
            match kind {
                Kind::Order => back.order = surplus,
                Kind::Client => back.client = surplus,
                Kind::Address => back.address = surplus,
                Kind::Product => {}
            }
            reserve.give_back(&publication.name, back);
        }
        Ok(())
    }

    /// Takes just so many numbers, past the reserve: for import, which knows what it needs.
    pub(super) async fn take(
        &self,
        publication: &str,
        kind: Kind,
        first: i32,
        count: usize,
    ) -> Result<Vec<i32>, Error> {
        let mut numbers = Vec::with_capacity(count);
        while numbers.len() < count {
            let short = count - numbers.len();
            let (start, end) = self
                .reserve_block(publication, kind, first, 0, short)
                .await?;
            numbers.extend(self.free_between(publication, kind, start, end).await?);
        }
        Ok(numbers)
    }

    /// Moves the counter on by `count`, or by one where no such block is left, and returns the block's first and last
    /// number, none of them below `at_least`.
    async fn reserve_block(
        &self,
        publication: &str,
        kind: Kind,
        first: i32,
        at_least: i64,
        count: usize,
    ) -> Result<(i64, i64), Error> {
        let mut count = i64::try_from(count)
            .unwrap_or(i64::MAX)
            .min(i64::from(i32::MAX));
        loop {
            let mut connection = self.connection().await?;
            let next = sqlx::query_scalar!(
                "UPDATE number_counter SET next = greatest(next, $4) + $3
                 WHERE publication = $1 AND kind = $2 AND greatest(next, $4) <= 2147483648 - $3
                 RETURNING next",
                publication,
                kind.as_str(),
                count,
                at_least,
            )
            .fetch_optional(&mut *connection);
            let next = self.in_time(next).await;
            let next = self.done(connection, next)?;
            if let Some(next) = next {
                return Ok((next - count, next - 1));
            }
            let mut connection = self.connection().await?;
            let made = sqlx::query!(
                "INSERT INTO number_counter (publication, kind, next) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                publication,
                kind.as_str(),
                i64::from(first),
            )
            .execute(&mut *connection);
            let made = self.in_time(made).await;
            let made = self.done(connection, made)?;
            if made.rows_affected() == 0 {
                if count == 1 {
                    return Err(Error::NumbersUsedUp(kind.as_str()));
                }
                count = 1;
            }
        }
    }

    /// Moves a publication's counters on by `count` each, past numbers that may have been given and are not known any more.
    /// Returns the next number of each kind.
    ///
    /// # Errors
    /// [`Error::NumbersUsedUp`] where a kind has no more than that left; the kinds before it are moved. Else as the database
    /// says.
    pub async fn skip(
        &self,
        publication: &Publication,
        count: i64,
    ) -> Result<Vec<(Kind, i64)>, Error> {
        let first = publication.first_numbers;
        let mut moved = Vec::new();
        for (kind, first) in [
            (Kind::Order, first.order),
            (Kind::Client, first.client),
            (Kind::Address, first.address),
            (Kind::Product, first.product),
        ] {
            let mut connection = self.connection().await?;
            let next = sqlx::query_scalar!(
                "INSERT INTO number_counter AS c (publication, kind, next) VALUES ($1, $2, $3::bigint + $4::bigint)
                 ON CONFLICT (publication, kind) DO UPDATE SET next = c.next + $4
                 WHERE c.next < 2147483648 - $4::bigint
                 RETURNING next",
                &publication.name,
                kind.as_str(),
                i64::from(first),
                count,
            )
            .fetch_optional(&mut *connection);
            let next = self.in_time(next).await;
            let next = self.done(connection, next)?;
            moved.push((kind, next.ok_or(Error::NumbersUsedUp(kind.as_str()))?));
        }
        Ok(moved)
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
        let taken = self.taken_between(publication, kind, start, end).await?;
        Ok((start..=end)
            .filter(|number| taken.binary_search(number).is_err())
            .collect())
    }

    /// Those numbers of a block that records bear, in order: one look into the index where there are none.
    async fn taken_between(
        &self,
        publication: &str,
        kind: Kind,
        start: i32,
        end: i32,
    ) -> Result<Vec<i32>, Error> {
        let mut connection = self.connection().await?;
        // A text for each rather than one with the table's name pasted in: each is checked when we compile.
        let taken = match kind {
            Kind::Order => sqlx::query_scalar!(
                "SELECT number FROM orders WHERE publication = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
                publication,
                start,
                end,
            )
            .fetch_all(&mut *connection),
            Kind::Client => sqlx::query_scalar!(
                "SELECT number FROM client WHERE publication = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
                publication,
                start,
                end,
            )
            .fetch_all(&mut *connection),
            Kind::Address => sqlx::query_scalar!(
                "SELECT number FROM address WHERE publication = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
                publication,
                start,
                end,
            )
            .fetch_all(&mut *connection),
            Kind::Product => sqlx::query_scalar!(
                "SELECT number FROM product WHERE publication = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
                publication,
                start,
                end,
            )
            .fetch_all(&mut *connection),
        };
        let taken = self.in_time(taken).await;
        self.done(connection, taken)
    }

    /// Takes numbers out of the reserve that records bear: a sender brought them along, perhaps to another instance.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn discard_taken(&self, reserve: &Numbers, publication: &str) -> Result<(), Error> {
        let taken = async |kind| {
            let held = reserve.held(publication, kind);
            self.taken(publication, kind, &held)
                .await
                .map(VecDeque::from)
        };
        let taken = FreeNumbers {
            order: taken(Kind::Order).await?,
            client: taken(Kind::Client).await?,
            address: taken(Kind::Address).await?,
        };
        reserve.discard(publication, &taken);
        Ok(())
    }

    /// Those of the numbers that records bear, in order.
    async fn taken(
        &self,
        publication: &str,
        kind: Kind,
        numbers: &[i32],
    ) -> Result<Vec<i32>, Error> {
        let mut connection = self.connection().await?;
        // A text for each rather than one with the table's name pasted in: each is checked when we compile. OFFSET 0 as in
        // read.sql.
        let taken = match kind {
            Kind::Order => {
                sqlx::query_scalar!(
                    "SELECT t.number
                     FROM unnest($2::int[]) AS k (number)
                     CROSS JOIN LATERAL (
                         SELECT number FROM orders WHERE publication = $1 AND number = k.number OFFSET 0
                     ) t
                     ORDER BY number",
                    publication,
                    numbers,
                )
                .fetch_all(&mut *connection)
            }
            Kind::Client => {
                sqlx::query_scalar!(
                    "SELECT t.number
                     FROM unnest($2::int[]) AS k (number)
                     CROSS JOIN LATERAL (
                         SELECT number FROM client WHERE publication = $1 AND number = k.number OFFSET 0
                     ) t
                     ORDER BY number",
                    publication,
                    numbers,
                )
                .fetch_all(&mut *connection)
            }
            Kind::Address => {
                sqlx::query_scalar!(
                    "SELECT t.number
                     FROM unnest($2::int[]) AS k (number)
                     CROSS JOIN LATERAL (
                         SELECT number FROM address WHERE publication = $1 AND number = k.number OFFSET 0
                     ) t
                     ORDER BY number",
                    publication,
                    numbers,
                )
                .fetch_all(&mut *connection)
            }
            Kind::Product => {
                sqlx::query_scalar!(
                    "SELECT number FROM product WHERE publication = $1 AND number = ANY ($2) ORDER BY number",
                    publication,
                    numbers,
                )
                .fetch_all(&mut *connection)
            }
        };
        let taken = self.in_time(taken).await;
        self.done(connection, taken)
    }
}
