//! Numbers of a publication, given from blocks that this instance reserves (contract §4.3): gaps are fine, doubles
//! never.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{Mutex, PoisonError},
    thread,
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
/// Blocks grow as long as one is used up within this time.
const BUSY: Duration = Duration::from_secs(1);

/// What has numbers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Order,
    Client,
    Address,
    /// Only import numbers products.
    Product,
}

impl Kind {
    /// As in the database and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Client => "client",
            Self::Address => "address",
            Self::Product => "product",
        }
    }
}

/// The reserve: numbers of every publication that are reserved and not given yet.
#[derive(Debug, Default)]
pub struct Numbers {
    /// By publication, and there by kind.
    pools: Mutex<HashMap<String, [Pool; 4]>>,
}

#[derive(Debug, Default)]
struct Pool {
    /// In order, so that numbers follow the order of arrival as nearly as gaps allow.
    free: VecDeque<i32>,
    block: usize,
    reserved_at: Option<Instant>,
    /// One past the last number that this instance ever reserved. A database that was put back to an earlier state, or a
    /// server that took over without the last commits, would give those after its own counter again.
    next: i64,
}

impl Pool {
    fn give_back(&mut self, numbers: impl IntoIterator<Item = i32>) {
        let before = self.free.len();
        self.free.extend(numbers);
        if self.free.len() > before {
            self.free.make_contiguous().sort_unstable();
        }
    }

    /// How large a block to reserve: twice the last one while they follow fast on one another.
    fn next_block(&mut self, missing: usize) -> usize {
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

impl Numbers {
    fn pools<R>(&self, publication: &str, work: impl FnOnce(&mut [Pool; 4]) -> R) -> R {
        // A panic while the lock was held loses at most some numbers.
        let mut all = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pools) = all.get_mut(publication) {
            return work(pools);
        }
        work(all.entry(publication.to_owned()).or_default())
    }

    fn pool<R>(&self, publication: &str, kind: Kind, work: impl FnOnce(&mut Pool) -> R) -> R {
        self.pools(publication, |pools| work(&mut pools[kind as usize]))
    }

    fn give_back(&self, publication: &str, numbers: FreeNumbers) {
        self.pools(publication, |pools| {
            for (kind, numbers) in by_kind(numbers) {
                pools[kind as usize].give_back(numbers);
            }
        });
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
    reserve: &'r Numbers,
    publication: &'r Publication,
    numbers: FreeNumbers,
    /// What the decision left over.
    unused: FreeNumbers,
}

impl Lease<'_> {
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

impl Store {
    /// Leases that many numbers: out of the reserve, and where it has no more, out of a new block.
    ///
    /// # Errors
    /// The database is away, or a kind's numbers are used up.
    pub async fn lease<'r>(
        &self,
        reserve: &'r Numbers,
        publication: &'r Publication,
        wanted: Shortage,
    ) -> Result<Lease<'r>, Error> {
        let mut lease = Lease {
            reserve,
            publication,
            numbers: FreeNumbers::default(),
            unused: FreeNumbers::default(),
        };
        self.extend_lease(&mut lease, wanted).await?;
        Ok(lease)
    }

    /// Leases that many more, behind those that it has.
    ///
    /// # Errors
    /// As [`Self::lease`].
    pub async fn extend_lease(&self, lease: &mut Lease<'_>, more: Shortage) -> Result<(), Error> {
        let Lease {
            reserve,
            publication,
            numbers,
            ..
        } = lease;
        let (publication, first) = (&*publication.name, publication.first_numbers);
        for (kind, mut missing, first, numbers) in [
            (Kind::Order, more.order, first.order, &mut numbers.order),
            (Kind::Client, more.client, first.client, &mut numbers.client),
            (
                Kind::Address,
                more.address,
                first.address,
                &mut numbers.address,
            ),
        ] {
            if missing > 0 {
                reserve.pool(publication, kind, |pool| {
                    let count = missing.min(pool.free.len());
                    numbers.extend(pool.free.drain(..count));
                    missing -= count;
                });
            }
            while missing > 0 {
                let (block, at_least) = reserve.pool(publication, kind, |pool| {
                    (pool.next_block(missing), pool.next)
                });
                let (start, end) = self
                    .reserve_block(publication, kind, first, at_least, block)
                    .await?;
                reserve.pool(publication, kind, |pool| {
                    pool.next = pool.next.max(end + 1);
                });
                let mut free = self.free_between(publication, kind, start, end).await?;
                let surplus = free.split_off(missing.min(free.len()));
                missing -= free.len();
                numbers.extend(free);
                reserve.pool(publication, kind, |pool| pool.give_back(surplus));
            }
        }
        Ok(())
    }

    /// Takes exactly `count` numbers, past the reserve: for import, which knows what it needs.
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

    /// Moves the counter on by `count`, or by one if no such block is left. Returns the block's first and last number, none
    /// below `at_least`.
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

    /// Moves a publication's counters on by `count` each, past numbers that may have been given without our knowing it any
    /// more. Returns the next number of each kind.
    ///
    /// # Errors
    /// [`Error::NumbersUsedUp`] if a kind has no more than that left; the kinds before it are moved.
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

    /// The numbers of a block that no record bears. A sender may have brought some along.
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

    /// The numbers of a block that records bear, in order. Usually there are none, and that takes one look into the index.
    async fn taken_between(
        &self,
        publication: &str,
        kind: Kind,
        start: i32,
        end: i32,
    ) -> Result<Vec<i32>, Error> {
        let mut connection = self.connection().await?;
        // One statement for each kind: sqlx checks each when we compile, which it cannot if the table's name is pasted in.
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

    /// Takes out of the reserve the numbers that records bear: a sender brought them along, perhaps to another instance.
    ///
    /// # Errors
    /// The database is away.
    pub async fn discard_taken(&self, reserve: &Numbers, publication: &str) -> Result<(), Error> {
        let taken = async |kind| {
            let held: Vec<i32> = reserve.pool(publication, kind, |pool| {
                pool.free.iter().copied().collect()
            });
            let taken = self.taken(publication, kind, &held).await;
            taken.map(VecDeque::from)
        };
        let taken = FreeNumbers {
            order: taken(Kind::Order).await?,
            client: taken(Kind::Client).await?,
            address: taken(Kind::Address).await?,
        };
        reserve.discard(publication, taken);
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
        // One statement for each kind: sqlx checks each when we compile, which it cannot if the table's name is pasted in. OFFSET 0 as in
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
