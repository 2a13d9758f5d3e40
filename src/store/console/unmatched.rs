//! The sender's ids of products that found nothing. Which there are an index tells (`order_item_unmatched_product`), one step an id
//! however many lines it has. An id is listed while one of its newest ten lines belongs to an open order, one that is new or approved.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::Act;
use crate::store::{Error, Store};

/// Ids that a page looks at.
const IDS: i32 = 200;
/// Lines of an id that its row of the list counts.
pub const LINES_COUNTED: i64 = 100;
/// Lines of an id that its own page counts.
pub const COUNTED_IN_FULL: i64 = 5_000;
/// Products that are looked at for a suggestion.
pub const PRODUCTS: i64 = 5_000;
/// Ids that are left empty on purpose, or had a product chosen, as far as they are listed.
const LISTED: i64 = 200;
/// Orders that are shown of an id.
const EXAMPLES: i64 = 5;

/// An id that found nothing, as the list shows it.
#[derive(Debug, Clone)]
pub struct UnmatchedRow {
    pub product_id: String,
    /// What its newest line calls it.
    pub name: Option<String>,
    /// Empty lines of open orders, among the newest [`LINES_COUNTED`].
    pub lines: i64,
    /// Our product that it means by now: its lines are to be filled.
    pub product: Option<i32>,
}

#[derive(Debug, Clone)]
pub struct UnmatchedPage {
    /// In the order of their ids.
    pub rows: Vec<UnmatchedRow>,
    /// Behind which id the next page begins.
    pub next: Option<String>,
}

/// One id that found nothing.
#[derive(Debug, Clone)]
pub struct Unmatched {
    pub name: Option<String>,
    /// Empty lines of open orders, among the newest [`COUNTED_IN_FULL`], and those orders.
    pub lines: i64,
    pub orders: i64,
    /// Whether there are more than were counted.
    pub is_cut: bool,
    /// The newest of those orders.
    pub examples: Vec<i32>,
    /// Our product that it means by now, and its name.
    pub product: Option<CatalogueProduct>,
    pub is_left_empty: bool,
    /// What operators chose for it: the product that it means, and those that are being taken back.
    pub matches: Vec<Matched>,
}

/// A product of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueProduct {
    pub number: i32,
    pub name: String,
    pub active: bool,
}

/// An id that is to stay empty.
#[derive(Debug, Clone)]
pub struct LeftEmpty {
    pub product_id: String,
    pub made_at: DateTime<Utc>,
    pub login: String,
}

/// An id for which an operator chose a product of ours.
#[derive(Debug, Clone)]
pub struct Matched {
    pub product_id: String,
    pub product: i32,
    pub name: Option<String>,
    pub made_at: DateTime<Utc>,
    pub login: String,
    /// The id does not mean it any more, and lines that have it are still to be emptied.
    pub taken_back: bool,
}

impl Store {
    /// Ids with empty lines of open orders, `most` of them behind `after`.
    pub async fn list_unmatched(
        &self,
        publication: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<UnmatchedPage, Error> {
        self.look_up(async |connection| {
            let one_more = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
            let (mut ids, last_looked_at) =
                waiting_ids(connection, publication, after, one_more).await?;
            let next = if ids.len() > most {
                ids.truncate(most);
                ids.last().cloned()
            } else {
                last_looked_at
            };
            let rows = rows(connection, publication, &ids).await?;
            Ok(UnmatchedPage { rows, next })
        })
        .await
    }

    /// One id; `None`: no line with it is empty, it is not left so on purpose, and means nothing.
    pub async fn unmatched(
        &self,
        publication: &str,
        product_id: &str,
    ) -> Result<Option<Unmatched>, Error> {
        self.look_up(async |connection| one(connection, publication, product_id).await)
            .await
    }

    /// The first [`PRODUCTS`] products of the catalogue, by number.
    pub async fn catalogue_products(
        &self,
        publication: &str,
    ) -> Result<Vec<CatalogueProduct>, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                CatalogueProduct,
                "SELECT number, name, active FROM product WHERE publication = $1 ORDER BY number LIMIT $2",
                publication,
                PRODUCTS,
            )
            .fetch_all(connection)
            .await
        })
        .await
    }

    pub async fn catalogue_product(
        &self,
        publication: &str,
        number: i32,
    ) -> Result<Option<CatalogueProduct>, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                CatalogueProduct,
                "SELECT number, name, active FROM product WHERE publication = $1 AND number = $2",
                publication,
                number,
            )
            .fetch_optional(connection)
            .await
        })
        .await
    }

    /// Ids that are left empty on purpose, the newest first.
    pub async fn left_empty(&self, publication: &str) -> Result<Vec<LeftEmpty>, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                LeftEmpty,
                "SELECT sender_id AS product_id, made_at, login FROM product_left_empty
                 WHERE publication = $1 ORDER BY sender_id LIMIT $2",
                publication,
                LISTED,
            )
            .fetch_all(connection)
            .await
        })
        .await
    }

    /// Takes an id off the list, or puts it there again. Says whether that was new.
    pub async fn leave_empty(
        &self,
        publication: &str,
        product_id: &str,
        left_empty: bool,
        by: Act<'_>,
    ) -> Result<bool, Error> {
        let kind = if left_empty {
            "leave_empty"
        } else {
            "ask_again"
        };
        let details = json!({ "product_id": product_id });
        let mut connection = self.connection().await?;
        let done = async {
            let mut transaction = connection.begin().await?;
            let statement = if left_empty {
                sqlx::query!(
                    "INSERT INTO product_left_empty (publication, sender_id, made_at, login) VALUES ($1, $2, now(), $3)
                     ON CONFLICT (publication, sender_id) DO NOTHING",
                    publication,
                    product_id,
                    by.login,
                )
            } else {
                sqlx::query!(
                    "DELETE FROM product_left_empty WHERE publication = $1 AND sender_id = $2",
                    publication,
                    product_id,
                )
            };
            let is_new = statement.execute(&mut *transaction).await?.rows_affected() > 0;
            if is_new {
                by.note(&mut transaction, publication, kind, None, &details)
                    .await?;
            }
            transaction.commit().await?;
            Ok(is_new)
        };
        let done = self.in_time(done).await;
        connection.done(done)
    }

    /// The products that operators chose for ids, the newest first.
    pub async fn matched_products(&self, publication: &str) -> Result<Vec<Matched>, Error> {
        self.look_up(async |connection| matched(connection, publication, None).await)
            .await
    }
}

/// Ids of which one of the newest lines belongs to an open order, `most` behind `after`. And the last of those that
/// were looked at; `None`: the end was seen.
async fn waiting_ids(
    connection: &mut PgConnection,
    publication: &str,
    after: Option<&str>,
    most: i64,
) -> Result<(Vec<String>, Option<String>), sqlx::Error> {
    let found = sqlx::query!(
        r#"WITH RECURSIVE id AS (
               (SELECT i.product_id, 1 AS place FROM order_item i
                WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id > $2
                ORDER BY i.product_id LIMIT 1)
               UNION ALL
               SELECT n.product_id, id.place + 1 FROM id
               CROSS JOIN LATERAL (
                   SELECT i.product_id FROM order_item i
                   WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id > id.product_id
                   ORDER BY i.product_id LIMIT 1
               ) n
               WHERE id.place < $3
           )
           SELECT (SELECT id.product_id FROM id WHERE id.place = $3) AS last_looked_at,
                  ARRAY(
                      SELECT id.product_id FROM id
                      WHERE NOT EXISTS (
                              SELECT FROM product_left_empty e WHERE e.publication = $1 AND e.sender_id = id.product_id)
                        AND EXISTS (
                              SELECT FROM (
                                  SELECT i.order_number FROM order_item i
                                  WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id = id.product_id
                                  ORDER BY i.order_number DESC LIMIT 10
                              ) i
                              CROSS JOIN LATERAL (
                                  SELECT o.status FROM orders o
                                  WHERE o.publication = $1 AND o.number = i.order_number OFFSET 0
                              ) o
                              WHERE o.status IN ('new', 'approved'))
                      ORDER BY id.product_id LIMIT $4
                  ) AS "ids!""#,
        publication,
        after.unwrap_or_default(),
        IDS,
        most,
    )
    .fetch_one(connection)
    .await?;
    Ok((found.ids, found.last_looked_at))
}

async fn rows(
    connection: &mut PgConnection,
    publication: &str,
    ids: &[String],
) -> Result<Vec<UnmatchedRow>, sqlx::Error> {
    sqlx::query_as!(
        UnmatchedRow,
        r#"SELECT k.id AS "product_id!", n.name AS "name?", l.lines AS "lines!", p.product_number AS "product?"
           FROM unnest($2::text[]) WITH ORDINALITY AS k (id, place)
           CROSS JOIN LATERAL (
               SELECT count(*) AS lines
               FROM (
                   SELECT i.order_number FROM order_item i
                   WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id = k.id
                   ORDER BY i.order_number DESC LIMIT $3
               ) i
               CROSS JOIN LATERAL (
                   SELECT o.status FROM orders o WHERE o.publication = $1 AND o.number = i.order_number OFFSET 0
               ) o
               WHERE o.status IN ('new', 'approved')
           ) l
           LEFT JOIN LATERAL (
               SELECT i.name FROM order_item i
               WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id = k.id
               ORDER BY i.order_number DESC LIMIT 1
           ) n ON true
           LEFT JOIN LATERAL (
               SELECT p.product_number FROM product_sender_id p WHERE p.publication = $1 AND p.sender_id = k.id OFFSET 0
           ) p ON true
           ORDER BY k.place"#,
        publication,
        ids,
        LINES_COUNTED,
    )
    .fetch_all(connection)
    .await
}

/// Matches that hold, and those that are being taken back; of all ids or of one.
async fn matched(
    connection: &mut PgConnection,
    publication: &str,
    product_id: Option<&str>,
) -> Result<Vec<Matched>, sqlx::Error> {
    sqlx::query_as!(
        Matched,
        r#"SELECT m.sender_id AS product_id, m.product_number AS product, p.name AS "name?", m.made_at, m.login, m.taken_back
           FROM product_match m
           LEFT JOIN LATERAL (
               SELECT s.product_number FROM product_sender_id s
               WHERE s.publication = $1 AND s.sender_id = m.sender_id AND s.product_number = m.product_number OFFSET 0
           ) s ON true
           LEFT JOIN LATERAL (
               SELECT p.name FROM product p WHERE p.publication = $1 AND p.number = m.product_number OFFSET 0
           ) p ON true
           WHERE m.publication = $1 AND ($2::text IS NULL OR m.sender_id = $2) AND m.taken_back = (s.product_number IS NULL)
           ORDER BY m.made_at DESC, m.sender_id LIMIT $3"#,
        publication,
        product_id,
        LISTED,
    )
    .fetch_all(connection)
    .await
}

async fn one(
    connection: &mut PgConnection,
    publication: &str,
    product_id: &str,
) -> Result<Option<Unmatched>, sqlx::Error> {
    let counts = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE o.status IN ('new', 'approved')) AS "lines!",
                  count(DISTINCT i.order_number) FILTER (WHERE o.status IN ('new', 'approved')) AS "orders!",
                  count(*) AS "looked_at!"
           FROM (
               SELECT i.order_number FROM order_item i
               WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id = $2
               ORDER BY i.order_number DESC LIMIT $3
           ) i
           CROSS JOIN LATERAL (
               SELECT o.status FROM orders o WHERE o.publication = $1 AND o.number = i.order_number OFFSET 0
           ) o"#,
        publication,
        product_id,
        COUNTED_IN_FULL,
    )
    .fetch_one(&mut *connection)
    .await?;
    let examples = sqlx::query!(
        r#"SELECT i.order_number, i.name FROM order_item i
           WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id = $2
           ORDER BY i.order_number DESC LIMIT $3"#,
        publication,
        product_id,
        EXAMPLES,
    )
    .fetch_all(&mut *connection)
    .await?;
    let is_left_empty = sqlx::query_scalar!(
        "SELECT sender_id FROM product_left_empty WHERE publication = $1 AND sender_id = $2",
        publication,
        product_id,
    )
    .fetch_optional(&mut *connection)
    .await?
    .is_some();
    let product = sqlx::query_as!(
        CatalogueProduct,
        r#"SELECT p.number AS "number!", p.name AS "name!", p.active AS "active!" FROM product_sender_id s
           CROSS JOIN LATERAL (
               SELECT * FROM product p WHERE p.publication = $1 AND p.number = s.product_number OFFSET 0
           ) p
           WHERE s.publication = $1 AND s.sender_id = $2"#,
        publication,
        product_id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let matches = matched(connection, publication, Some(product_id)).await?;
    if examples.is_empty() && !is_left_empty && product.is_none() && matches.is_empty() {
        return Ok(None);
    }
    let mut numbers: Vec<i32> = examples.iter().map(|line| line.order_number).collect();
    numbers.dedup();
    Ok(Some(Unmatched {
        name: examples.into_iter().find_map(|line| line.name),
        lines: counts.lines,
        orders: counts.orders,
        is_cut: counts.looked_at >= COUNTED_IN_FULL,
        examples: numbers,
        product,
        is_left_empty,
        matches,
    }))
}
