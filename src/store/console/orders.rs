//! The list of orders, by page and by search. First the numbers, by an index that fits what is asked; then what is shown of those
//! few. No list walks through a table, however many orders there are (`tests/it/console_plans.rs`).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgConnection, types::Json};

use crate::{
    order::model::{AddressContent, Status},
    store::{Error, Store},
};

/// Of orders that are picked out by what happened to them, the newest so many are looked at.
pub const PICKED: usize = 5_000;
/// Orders that a filter finds are counted up to there.
pub const MOST_FOUND: i64 = 1_000;
/// Clients that a search looks at.
pub(super) const CLIENTS: i64 = 200;

/// Which orders a list shows.
#[derive(Debug, Clone, Default)]
pub struct OrdersFilter {
    /// `None`: of any.
    pub status: Option<Status>,
    /// Made from then on …
    pub since: Option<DateTime<Utc>>,
    /// … and before then.
    pub until: Option<DateTime<Utc>>,
    /// 1C, or another target, refused them or said that it could not take them.
    pub not_taken: bool,
    /// A line's product was not found, and it is not empty on purpose.
    pub unmatched: bool,
    /// Something of them was left out, rounded or shortened, and nobody has settled that yet.
    pub with_remarks: bool,
    /// A target refused them and they are not to be sent there any more, or what 1C said by itself was put aside.
    pub withheld: bool,
}

impl OrdersFilter {
    fn picks(&self) -> bool {
        self.not_taken || self.unmatched || self.with_remarks || self.withheld
    }
}

/// Where a page begins: behind that order, in the order of the list, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub created_at: DateTime<Utc>,
    pub number: i32,
}

/// What somebody looks for; whatever is there is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Our number.
    pub number: Option<i32>,
    /// The sender's id, or 1C's number.
    pub id: Option<String>,
    /// The last digits of a phone, from the last to the first.
    pub phone_end: Option<String>,
    /// Beginnings of a client's name.
    pub names: Vec<String>,
}

/// An order as a list shows it.
#[derive(Debug, Clone)]
pub struct OrderRow {
    pub number: i32,
    pub sender_id: String,
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub total: Decimal,
    pub shipping_date_from: DateTime<Utc>,
    pub shipping_date_to: DateTime<Utc>,
    pub shipping_address: Json<AddressContent>,
    pub client: String,
    pub phone: Option<String>,
    /// 1C's number of it.
    pub receiver_number: Option<String>,
    /// Why 1C, or another target, does not take it; `None`: nobody refuses it.
    pub not_taken: Option<String>,
    /// A target refused it, and an operator said that it is not to be sent there any more.
    pub withheld: bool,
    /// 1C said by itself that it did not take it, and an operator put that aside.
    pub put_aside: bool,
    pub unmatched: bool,
    pub with_remarks: bool,
}

/// How many orders a filter finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrdersCount {
    /// One more than [`MOST_FOUND`] where there are more.
    pub orders: i64,
    /// What these cost.
    pub total: Decimal,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct OrdersPage {
    pub rows: Vec<OrderRow>,
    /// Whether there are more behind them.
    pub has_more: bool,
    /// Whether older ones were not looked at.
    pub is_cut: bool,
}

/// An order's number with its place in the list.
struct Found {
    number: i32,
    created_at: DateTime<Utc>,
}

impl Store {
    /// The orders that the filter lets through, `most` of them behind `after`. `targets`: whose refusals count.
    pub async fn list_orders(
        &self,
        publication: &str,
        targets: &[String],
        filter: &OrdersFilter,
        after: Option<Position>,
        most: usize,
    ) -> Result<OrdersPage, Error> {
        self.look_up(async |connection| {
            let picked = picked(connection, publication, targets, filter).await?;
            let (_, found) = find(connection, publication, filter, &picked, after, most).await?;
            page(connection, publication, targets, found, most, picked.is_cut).await
        })
        .await
    }

    /// The same, and how many there are in all.
    pub async fn count_and_list_orders(
        &self,
        publication: &str,
        targets: &[String],
        filter: &OrdersFilter,
        after: Option<Position>,
        most: usize,
    ) -> Result<(OrdersCount, OrdersPage), Error> {
        self.look_up(async |connection| {
            let picked = picked(connection, publication, targets, filter).await?;
            let (counted, found) =
                find(connection, publication, filter, &picked, after, most).await?;
            let count = match counted {
                Some(counted) => counted,
                None => count(connection, publication, filter).await?,
            };
            let page = page(connection, publication, targets, found, most, picked.is_cut).await?;
            Ok((count, page))
        })
        .await
    }

    /// The newest `most` orders of those that are looked for, in front of them those that have just that number or id.
    pub async fn search_orders(
        &self,
        publication: &str,
        targets: &[String],
        search: &Search,
        most: usize,
    ) -> Result<OrdersPage, Error> {
        self.look_up(async |connection| {
            let newest_first = |found: &Found| std::cmp::Reverse((found.created_at, found.number));
            let mut found = by_id(connection, publication, search).await?;
            found.sort_by_key(newest_first);
            found.dedup_by_key(|found| found.number);
            let clients = clients(connection, publication, search).await?;
            let is_cut = clients.len() > usize::try_from(CLIENTS).unwrap_or(usize::MAX);
            if !clients.is_empty() {
                let mut more = of_clients(connection, publication, &clients, most).await?;
                more.retain(|more| found.iter().all(|found| found.number != more.number));
                more.sort_by_key(newest_first);
                found.extend(more);
            }
            page(connection, publication, targets, found, most, is_cut).await
        })
        .await
    }
}

/// What bounds a page. There is one upper bound: of two, PostgreSQL begins to read an index at either.
struct Range {
    since: DateTime<Utc>,
    before: Position,
    limit: i64,
}

impl Range {
    fn of(filter: &OrdersFilter, after: Option<Position>, most: usize) -> Self {
        // No order is older or newer (order/datetime.rs), and no number is 0.
        let until = Position {
            created_at: filter.until.unwrap_or_else(|| far(10_000)),
            number: 0,
        };
        Self {
            since: filter.since.unwrap_or_else(|| far(1)),
            before: after.map_or(until, |after| after.min(until)),
            // One more tells whether there are more.
            limit: i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1),
        }
    }
}

/// The beginning of that year.
fn far(year: i32) -> DateTime<Utc> {
    let day = chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// Orders to which all happened that a filter asks for.
struct Picked {
    /// `None`: it asks for nothing of the kind.
    numbers: Option<Vec<i32>>,
    /// Whether there may be older ones.
    is_cut: bool,
}

async fn picked(
    connection: &mut PgConnection,
    publication: &str,
    targets: &[String],
    filter: &OrdersFilter,
) -> Result<Picked, sqlx::Error> {
    if !filter.picks() {
        return Ok(Picked {
            numbers: None,
            is_cut: false,
        });
    }
    let most = i64::try_from(PICKED).unwrap_or(i64::MAX);
    let mut picks: Vec<Vec<i32>> = Vec::new();
    let mut is_cut = false;
    if filter.not_taken {
        let found = sqlx::query_scalar!(
            r#"SELECT r.order_number AS "order_number!" FROM (
                   SELECT r.order_number FROM order_receiver r
                   WHERE r.publication = $1 AND r.error IS NOT NULL AND NOT r.put_aside AND NOT coalesce((
                       SELECT bool_or(d.withheld) FROM target_delivery d
                       WHERE d.publication = $1 AND d.target = ANY ($3) AND d.order_number = r.order_number), false)
                   ORDER BY r.order_number DESC LIMIT $2
               ) r
               UNION ALL
               SELECT d.order_number FROM unnest($3::text[]) AS t (name)
               CROSS JOIN LATERAL (
                   SELECT d.order_number FROM target_delivery d
                   WHERE d.publication = $1 AND d.target = t.name AND NOT d.withheld
                     AND d.error IS NOT NULL AND (d.next_try_at IS NULL OR d.next_try_at > now())
                   ORDER BY d.order_number DESC LIMIT $2
               ) d"#,
            publication,
            most,
            targets,
        );
        picks.push(found.fetch_all(&mut *connection).await?);
    }
    if filter.unmatched {
        let found = sqlx::query!(
            r#"SELECT i.order_number, EXISTS (
                   SELECT FROM product_left_empty e WHERE e.publication = $1 AND e.sender_id = i.product_id
               ) AS "is_left_empty!"
               FROM (
                   SELECT order_number, product_id FROM order_item WHERE publication = $1 AND product_number IS NULL
                   ORDER BY order_number DESC LIMIT $2
               ) i"#,
            publication,
            most,
        );
        let found = found.fetch_all(&mut *connection).await?;
        is_cut |= found.len() >= PICKED;
        let asked = found.iter().filter(|line| !line.is_left_empty);
        picks.push(asked.map(|line| line.order_number).collect());
    }
    if filter.with_remarks {
        let found = sqlx::query_scalar!(
            r#"SELECT o.number FROM (
                   SELECT order_key FROM journal_rejected
                   WHERE publication = $1 AND settled_at IS NULL AND warnings IS NOT NULL
                   ORDER BY batch DESC, position DESC LIMIT $2
               ) k
               CROSS JOIN LATERAL (
                   SELECT o.number FROM orders o WHERE o.publication = $1 AND o.sender_id = k.order_key OFFSET 0
               ) o"#,
            publication,
            most,
        );
        picks.push(found.fetch_all(&mut *connection).await?);
    }
    if filter.withheld {
        let found = sqlx::query_scalar!(
            r#"(SELECT r.order_number AS "order_number!" FROM order_receiver r
                WHERE r.publication = $1 AND r.put_aside ORDER BY r.order_number DESC LIMIT $2)
               UNION ALL
               SELECT d.order_number FROM unnest($3::text[]) AS t (name)
               CROSS JOIN LATERAL (
                   SELECT d.order_number FROM target_delivery d
                   WHERE d.publication = $1 AND d.target = t.name AND d.withheld
                   ORDER BY d.order_number DESC LIMIT $2
               ) d"#,
            publication,
            most,
            targets,
        );
        picks.push(found.fetch_all(&mut *connection).await?);
    }
    is_cut |= picks.iter().any(|picked| picked.len() >= PICKED);
    let picks = picks.into_iter().map(BTreeSet::from_iter);
    let all = picks.reduce(|one, other| one.intersection(&other).copied().collect());
    Ok(Picked {
        numbers: Some(all.into_iter().flatten().collect()),
        is_cut,
    })
}

/// What the filter lets through of these, and where they are in the list.
struct Matching {
    number: i32,
    created_at: DateTime<Utc>,
    total: Decimal,
}

/// How many orders the filter lets through, if that is asked, and `most` of them behind `after`, and one more.
async fn find(
    connection: &mut PgConnection,
    publication: &str,
    filter: &OrdersFilter,
    picked: &Picked,
    after: Option<Position>,
    most: usize,
) -> Result<(Option<OrdersCount>, Vec<Found>), sqlx::Error> {
    let range = Range::of(filter, after, most);
    let Some(numbers) = &picked.numbers else {
        let found = of_all(connection, publication, filter, &range).await?;
        return Ok((None, found));
    };
    let matching = of_picked(connection, publication, numbers, filter).await?;
    let counted = usize::try_from(MOST_FOUND).unwrap_or(usize::MAX) + 1;
    let count = OrdersCount {
        orders: i64::try_from(matching.len().min(counted)).unwrap_or(i64::MAX),
        total: matching.iter().take(counted).map(|order| order.total).sum(),
    };
    let found = matching.into_iter().map(|order| Found {
        number: order.number,
        created_at: order.created_at,
    });
    let behind = found.skip_while(|found| {
        let position = Position {
            created_at: found.created_at,
            number: found.number,
        };
        position >= range.before
    });
    Ok((Some(count), behind.take(most.saturating_add(1)).collect()))
}

/// Counts what the list has on all pages, in its order: PostgreSQL would walk through the table otherwise.
async fn count(
    connection: &mut PgConnection,
    publication: &str,
    filter: &OrdersFilter,
) -> Result<OrdersCount, sqlx::Error> {
    let range = Range::of(
        filter,
        None,
        usize::try_from(MOST_FOUND).unwrap_or(usize::MAX),
    );
    sqlx::query_as!(
        OrdersCount,
        r#"SELECT count(*) AS "orders!", coalesce(sum(o.total), 0) AS "total!" FROM (
               SELECT o.total FROM unnest($2::text[]) AS s (status)
               CROSS JOIN LATERAL (
                   SELECT o.total FROM orders o
                   WHERE o.publication = $1 AND o.number > 0 AND o.status = s.status AND o.created_at >= $3
                     AND (o.created_at, o.number) < ($4, 0)
                   ORDER BY o.created_at DESC, o.number DESC LIMIT $5
               ) o
               LIMIT $5
           ) o"#,
        publication,
        &statuses(filter),
        range.since,
        range.before.created_at,
        range.limit,
    )
    .fetch_one(connection)
    .await
}

/// Those that the filter lets through: a list begins at each in the index.
fn statuses(filter: &OrdersFilter) -> Vec<String> {
    let all = Status::ALL.to_vec();
    let statuses = filter.status.map_or(all, |status| vec![status]);
    let names = statuses.iter().map(|status| status.as_str().to_owned());
    names.collect()
}

/// The newest first.
async fn of_picked(
    connection: &mut PgConnection,
    publication: &str,
    picked: &[i32],
    filter: &OrdersFilter,
) -> Result<Vec<Matching>, sqlx::Error> {
    let range = Range::of(filter, None, 0);
    sqlx::query_as!(
        Matching,
        "SELECT o.number, o.created_at, o.total FROM unnest($2::int[]) AS k (number)
         CROSS JOIN LATERAL (
             SELECT o.number, o.created_at, o.total, o.status FROM orders o
             WHERE o.publication = $1 AND o.number = k.number OFFSET 0
         ) o
         WHERE ($3::text IS NULL OR o.status = $3) AND o.created_at >= $4 AND o.created_at < $5
         ORDER BY o.created_at DESC, o.number DESC",
        publication,
        picked,
        filter.status.map(Status::as_str),
        range.since,
        range.before.created_at,
    )
    .fetch_all(connection)
    .await
}

async fn of_all(
    connection: &mut PgConnection,
    publication: &str,
    filter: &OrdersFilter,
    range: &Range,
) -> Result<Vec<Found>, sqlx::Error> {
    sqlx::query_as!(
        Found,
        "SELECT o.number, o.created_at FROM unnest($2::text[]) AS s (status)
         CROSS JOIN LATERAL (
             SELECT o.number, o.created_at FROM orders o
             WHERE o.publication = $1 AND o.number > 0 AND o.status = s.status AND o.created_at >= $3
               AND (o.created_at, o.number) < ($4, $5::int)
             ORDER BY o.created_at DESC, o.number DESC LIMIT $6
         ) o
         ORDER BY o.created_at DESC, o.number DESC LIMIT $6",
        publication,
        &statuses(filter),
        range.since,
        range.before.created_at,
        range.before.number,
        range.limit,
    )
    .fetch_all(connection)
    .await
}

async fn by_id(
    connection: &mut PgConnection,
    publication: &str,
    search: &Search,
) -> Result<Vec<Found>, sqlx::Error> {
    let mut found = Vec::new();
    if let Some(number) = search.number {
        let found_here = sqlx::query_as!(
            Found,
            "SELECT number, created_at FROM orders WHERE publication = $1 AND number = $2",
            publication,
            number,
        );
        found.extend(found_here.fetch_all(&mut *connection).await?);
    }
    if let Some(id) = &search.id {
        let found_here = sqlx::query_as!(
            Found,
            "SELECT number, created_at FROM orders WHERE publication = $1 AND sender_id = $2",
            publication,
            id,
        );
        found.extend(found_here.fetch_all(&mut *connection).await?);
        let found_here = sqlx::query_as!(
            Found,
            "SELECT o.number, o.created_at FROM order_receiver r
             CROSS JOIN LATERAL (
                 SELECT o.number, o.created_at FROM orders o
                 WHERE o.publication = $1 AND o.number = r.order_number OFFSET 0
             ) o
             WHERE r.publication = $1 AND r.number = $2",
            publication,
            id,
        );
        found.extend(found_here.fetch_all(&mut *connection).await?);
    }
    Ok(found)
}

/// The clients whose phone ends like that, or of whose name the first or the second word begins so.
pub(super) async fn clients(
    connection: &mut PgConnection,
    publication: &str,
    search: &Search,
) -> Result<Vec<i32>, sqlx::Error> {
    let mut clients = BTreeSet::new();
    let limit = CLIENTS + 1;
    if let Some(end) = &search.phone_end {
        let found = sqlx::query_scalar!(
            r#"(SELECT c.number AS "number!" FROM client c
                WHERE c.publication = $1 AND reverse(c.phone) COLLATE "C" >= $2 AND reverse(c.phone) COLLATE "C" < $3
                  AND c.phone IS NOT NULL
                ORDER BY reverse(c.phone) COLLATE "C" LIMIT $4)
               UNION ALL
               (SELECT c.number FROM client c
                WHERE c.publication = $1 AND reverse(c.phones[1]) COLLATE "C" >= $2
                  AND reverse(c.phones[1]) COLLATE "C" < $3 AND c.phones[1] IS NOT NULL
                ORDER BY reverse(c.phones[1]) COLLATE "C" LIMIT $4)
               UNION ALL
               (SELECT c.number FROM client c
                WHERE c.publication = $1 AND reverse(c.phones[2]) COLLATE "C" >= $2
                  AND reverse(c.phones[2]) COLLATE "C" < $3 AND c.phones[2] IS NOT NULL
                ORDER BY reverse(c.phones[2]) COLLATE "C" LIMIT $4)"#,
            publication,
            end,
            // Behind everything that begins so: ":" follows "9".
            format!("{end}:"),
            limit,
        );
        clients.extend(found.fetch_all(&mut *connection).await?);
    }
    for name in &search.names {
        let found = sqlx::query_scalar!(
            r#"(SELECT c.number AS "number!" FROM client c
                WHERE c.publication = $1 AND c.number > 0 AND left(c.username, 200) COLLATE "C" >= $2
                  AND left(c.username, 200) COLLATE "C" < $3
                ORDER BY left(c.username, 200) COLLATE "C" LIMIT $4)
               UNION ALL
               (SELECT c.number FROM client c
                WHERE c.publication = $1 AND c.number > 0 AND split_part(c.username, ' ', 2) <> ''
                  AND left(split_part(c.username, ' ', 2), 200) COLLATE "C" >= $2
                  AND left(split_part(c.username, ' ', 2), 200) COLLATE "C" < $3
                ORDER BY left(split_part(c.username, ' ', 2), 200) COLLATE "C" LIMIT $4)"#,
            publication,
            name,
            format!("{name}{}", char::MAX),
            limit,
        );
        clients.extend(found.fetch_all(&mut *connection).await?);
    }
    Ok(clients.into_iter().collect())
}

async fn of_clients(
    connection: &mut PgConnection,
    publication: &str,
    clients: &[i32],
    most: usize,
) -> Result<Vec<Found>, sqlx::Error> {
    sqlx::query_as!(
        Found,
        "SELECT o.number, o.created_at FROM unnest($2::int[]) AS k (number)
         CROSS JOIN LATERAL (
             SELECT o.number, o.created_at FROM orders o
             WHERE o.publication = $1 AND o.number > 0 AND o.client_number = k.number
             ORDER BY o.number DESC LIMIT $3
         ) o
         ORDER BY o.created_at DESC, o.number DESC LIMIT $3",
        publication,
        clients,
        i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1),
    )
    .fetch_all(connection)
    .await
}

/// What is shown of the first `most` of these.
async fn page(
    connection: &mut PgConnection,
    publication: &str,
    targets: &[String],
    found: Vec<Found>,
    most: usize,
    is_cut: bool,
) -> Result<OrdersPage, sqlx::Error> {
    let has_more = found.len() > most;
    let numbers: Vec<i32> = found.iter().take(most).map(|found| found.number).collect();
    let rows = sqlx::query_as!(
        OrderRow,
        r#"SELECT o.number, o.sender_id, o.status, o.created_at, o.total, o.shipping_date_from, o.shipping_date_to,
                  o.shipping_address AS "shipping_address: Json<AddressContent>", c.username AS client, c.phone,
                  r.number AS "receiver_number?", coalesce(r.error, d.error) AS not_taken,
                  d.withheld AS "withheld!", coalesce(r.put_aside, false) AS "put_aside!",
                  EXISTS (
                      SELECT FROM order_item i
                      WHERE i.publication = $1 AND i.order_number = o.number AND i.product_number IS NULL
                        AND NOT EXISTS (
                            SELECT FROM product_left_empty e WHERE e.publication = $1 AND e.sender_id = i.product_id
                        )
                  ) AS "unmatched!",
                  EXISTS (
                      SELECT FROM journal_rejected j
                      WHERE j.publication = $1 AND j.order_key = o.sender_id AND j.warnings IS NOT NULL
                        AND j.settled_at IS NULL
                  ) AS "with_remarks!"
           FROM unnest($2::int[]) WITH ORDINALITY AS k (number, place)
           CROSS JOIN LATERAL (
               SELECT * FROM orders o WHERE o.publication = $1 AND o.number = k.number OFFSET 0
           ) o
           CROSS JOIN LATERAL (
               SELECT c.username, coalesce(c.phone, c.phones[1]) AS phone FROM client c
               WHERE c.publication = $1 AND c.number = o.client_number OFFSET 0
           ) c
           LEFT JOIN LATERAL (
               SELECT r.number, CASE WHEN NOT r.put_aside THEN r.error END AS error, r.put_aside FROM order_receiver r
               WHERE r.publication = $1 AND r.order_number = o.number OFFSET 0
           ) r ON true
           CROSS JOIN LATERAL (
               SELECT min(d.error) FILTER (WHERE NOT d.withheld) AS error, coalesce(bool_or(d.withheld), false) AS withheld
               FROM unnest($3::text[]) AS t (name)
               CROSS JOIN LATERAL (
                   SELECT d.error, d.withheld FROM target_delivery d
                   WHERE d.publication = $1 AND d.target = t.name AND d.order_number = o.number
                     AND d.error IS NOT NULL AND (d.next_try_at IS NULL OR d.next_try_at > now()) OFFSET 0
               ) d
           ) d
           ORDER BY k.place"#,
        publication,
        &numbers,
        targets,
    )
    .fetch_all(connection)
    .await?;
    Ok(OrdersPage {
        rows,
        has_more,
        is_cut,
    })
}
