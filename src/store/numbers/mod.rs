//! Numbers of a publication, given from blocks that this instance reserves (contract §4.3): gaps are fine, doubles
//! never.

use std::collections::VecDeque;

mod reserve;

pub use reserve::{Lease, Reserve};

use super::{Error, Store};
use crate::{
    config::Publication,
    order::decide::{FreeNumbers, Shortage},
};

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

impl Store {
    /// Leases that many numbers: out of the reserve, and where it has no more, out of a new block.
    ///
    /// # Errors
    /// The database is away, or a kind's numbers are used up.
    pub async fn lease<'r>(
        &self,
        reserve: &'r Reserve,
        publication: &'r Publication,
        wanted: Shortage,
    ) -> Result<Lease<'r>, Error> {
        let mut lease = Lease::new(reserve, publication);
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
            let next = connection.done(next)?;
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
            let made = connection.done(made)?;
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
            let next = connection.done(next)?;
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
                // Orders that were imported keep their numbers for when they come.
                r#"SELECT number AS "number!" FROM orders WHERE publication = $1 AND number BETWEEN $2 AND $3
                   UNION ALL
                   SELECT number FROM imported_order WHERE publication = $1 AND number BETWEEN $2 AND $3
                   ORDER BY 1"#,
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
        connection.done(taken)
    }

    /// Takes out of the reserve the numbers that records bear: a sender brought them along, perhaps to another instance.
    ///
    /// # Errors
    /// The database is away.
    pub async fn discard_taken(&self, reserve: &Reserve, publication: &str) -> Result<(), Error> {
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
                    r#"SELECT t.number AS "number!"
                     FROM unnest($2::int[]) AS k (number)
                     CROSS JOIN LATERAL (
                         SELECT number FROM orders WHERE publication = $1 AND number = k.number
                         UNION ALL
                         SELECT number FROM imported_order WHERE publication = $1 AND number = k.number
                         OFFSET 0
                     ) t
                     ORDER BY 1"#,
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
        connection.done(taken)
    }
}
