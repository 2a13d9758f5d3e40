//! Lines of open orders get the product that an id of the sender's means, or lose it again: so many a transaction, with each order's
//! version, history and row of the feed.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{Act, plan_anew};
use crate::store::{Error, Store};

/// Lines that a transaction fills or empties.
const FILLED_AT_ONCE: i64 = 500;
/// Orders that a transaction walks through for lines that have the product.
const WALKED_AT_ONCE: i64 = 5_000;
/// Open orders among which a page counts such lines.
pub const ORDERS_LOOKED_AT: i64 = 2_000;

/// Lines of open orders that have a product by an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    pub lines: i64,
    pub orders: i64,
    /// Whether there are older orders than were looked at.
    pub is_cut: bool,
}

/// What lines with an id get, of what they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Empty ones get the product that the id means.
    Fill(i32),
    /// Those that have the product, which the id does not mean any more, are empty again.
    Empty(i32),
}

impl Change {
    /// What such a line has before, and after.
    fn products(self) -> [Option<i32>; 2] {
        match self {
            Self::Fill(product) => [None, Some(product)],
            Self::Empty(product) => [Some(product), None],
        }
    }
}

/// What a step of filling or emptying did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    pub lines: usize,
    pub orders: usize,
    /// Go on with orders below this number; `None`: it is done.
    pub below: Option<i32>,
}

impl Store {
    /// How many lines of open orders have the product by that id, among the newest [`ORDERS_LOOKED_AT`] open orders.
    pub async fn lines_given(
        &self,
        publication: &str,
        product_id: &str,
        product: i32,
    ) -> Result<Given, Error> {
        let counted = self.look_up(async |connection| {
            sqlx::query!(
                r#"SELECT count(i.product_id) AS "lines!", count(DISTINCT i.order_number) AS "orders!",
                          count(DISTINCT o.number) AS "looked_at!"
                   FROM (
                       SELECT o.number FROM unnest(ARRAY['new', 'approved']) AS s (status)
                       CROSS JOIN LATERAL (
                           SELECT o.number, o.created_at FROM orders o
                           WHERE o.publication = $1 AND o.number > 0 AND o.status = s.status
                           ORDER BY o.created_at DESC, o.number DESC LIMIT $4
                       ) o
                       ORDER BY o.created_at DESC, o.number DESC LIMIT $4
                   ) o
                   LEFT JOIN LATERAL (
                       SELECT i.order_number, i.product_id FROM order_item i
                       WHERE i.publication = $1 AND i.order_number = o.number AND i.product_id = $2 AND i.product_number = $3 OFFSET 0
                   ) i ON true"#,
                publication,
                product_id,
                product,
                ORDERS_LOOKED_AT,
            )
            .fetch_one(connection)
            .await
        });
        let counted = counted.await?;
        Ok(Given {
            lines: counted.lines,
            orders: counted.orders,
            is_cut: counted.looked_at >= ORDERS_LOOKED_AT,
        })
    }

    /// Forgets a match that was taken back, once its lines are emptied.
    pub async fn forget_match(
        &self,
        publication: &str,
        product_id: &str,
        product: i32,
    ) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let gone = sqlx::query!(
            "DELETE FROM product_match WHERE publication = $1 AND sender_id = $2 AND product_number = $3 AND taken_back",
            publication,
            product_id,
            product,
        )
        .execute(&mut *connection);
        let gone = self.in_time(gone).await;
        connection.done(gone)?;
        Ok(())
    }

    /// Fills or empties lines with that id of open orders, [`FILLED_AT_ONCE`] at most, the newest first, below that order's number.
    /// One transaction with each order's version, history and row of the feed. `None`: the id does not mean that product (any more), or
    /// means it where the lines are to be emptied.
    pub async fn fill_lines(
        &self,
        publication: &str,
        product_id: &str,
        change: Change,
        below: Option<i32>,
        by: Act<'_>,
    ) -> Result<Option<Filled>, Error> {
        let fill = Fill {
            publication,
            product_id,
            change,
            below: below.unwrap_or(i32::MAX),
            by,
        };
        let mut connection = self.connection().await?;
        let filled = self.in_time(fill.run(&mut connection)).await;
        let filled = connection.done(filled)?;
        if filled.as_ref().is_some_and(|filled| filled.lines > 0) {
            self.tell_news(publication);
        }
        Ok(filled)
    }
}

struct Fill<'f> {
    publication: &'f str,
    product_id: &'f str,
    change: Change,
    below: i32,
    by: Act<'f>,
}

impl Fill<'_> {
    async fn run(&self, connection: &mut PgConnection) -> Result<Option<Filled>, sqlx::Error> {
        let mut transaction = connection.begin().await?;
        plan_anew(&mut transaction, false).await?;
        let meant = sqlx::query_scalar!(
            "SELECT product_number FROM product_sender_id WHERE publication = $1 AND sender_id = $2",
            self.publication,
            self.product_id,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let is_so = match self.change {
            Change::Fill(product) => meant == Some(product),
            Change::Empty(product) => meant != Some(product),
        };
        if !is_so {
            transaction.rollback().await?;
            return Ok(None);
        }
        let (numbers, below) = match self.change {
            Change::Fill(_) => self.empty(&mut transaction).await?,
            Change::Empty(product) => self.given(&mut transaction, product).await?,
        };
        let [before, after] = self.change.products();
        // Locked first and in their order, as every writer of several orders does: nothing is changed that somebody changes just now.
        let open = sqlx::query_scalar!(
            "SELECT number FROM orders
             WHERE publication = $1 AND number = ANY ($2::int[]) AND status IN ('new', 'approved')
             ORDER BY number FOR NO KEY UPDATE",
            self.publication,
            &numbers,
        )
        .fetch_all(&mut *transaction)
        .await?;
        let filled = sqlx::query!(
            "UPDATE order_item SET product_number = $4
             WHERE publication = $1 AND product_id = $2 AND product_number IS NOT DISTINCT FROM $5 AND order_number = ANY ($3::int[])
             RETURNING order_number, position",
            self.publication,
            self.product_id,
            &open,
            after,
            before,
        )
        .fetch_all(&mut *transaction)
        .await?;
        let lines: Vec<(i32, i32)> = filled
            .into_iter()
            .map(|line| (line.order_number, line.position))
            .collect();
        let orders = self.note(&mut transaction, &lines).await?;
        transaction.commit().await?;
        Ok(Some(Filled {
            lines: lines.len(),
            orders,
            below,
        }))
    }

    /// Orders with empty lines, an entry for each line, and where the next step begins.
    async fn empty(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(Vec<i32>, Option<i32>), sqlx::Error> {
        let numbers = sqlx::query_scalar!(
            "SELECT order_number FROM order_item
             WHERE publication = $1 AND product_id = $2 AND product_number IS NULL AND order_number < $3
             ORDER BY order_number DESC LIMIT $4",
            self.publication,
            self.product_id,
            self.below,
            FILLED_AT_ONCE,
        )
        .fetch_all(connection)
        .await?;
        let below = numbers.last().copied().filter(|_| is_full(&numbers));
        Ok((numbers, below))
    }

    /// The same of lines that have the product. No index has them, and one would cost each order: so orders are walked through, and a
    /// step ends behind so many of them.
    async fn given(
        &self,
        connection: &mut PgConnection,
        product: i32,
    ) -> Result<(Vec<i32>, Option<i32>), sqlx::Error> {
        let found = sqlx::query!(
            r#"WITH walked AS MATERIALIZED (
                   SELECT number, status FROM orders WHERE publication = $1 AND number < $3 AND number > 0
                   ORDER BY number DESC LIMIT $5
               )
               SELECT (SELECT min(w.number) FROM walked w HAVING count(*) >= $5) AS last_walked,
                      ARRAY(
                          SELECT i.order_number FROM walked w
                          CROSS JOIN LATERAL (
                              SELECT i.order_number FROM order_item i
                              WHERE i.publication = $1 AND i.order_number = w.number
                                AND i.product_id = $2 AND i.product_number = $4 OFFSET 0
                          ) i
                          WHERE w.status IN ('new', 'approved')
                          ORDER BY i.order_number DESC LIMIT $6
                      ) AS "numbers!""#,
            self.publication,
            self.product_id,
            self.below,
            product,
            WALKED_AT_ONCE,
            FILLED_AT_ONCE,
        )
        .fetch_one(connection)
        .await?;
        let last = found.numbers.last().copied();
        let below = last.filter(|_| is_full(&found.numbers));
        Ok((found.numbers, below.or(found.last_walked)))
    }

    /// Writes down that these lines of these orders have changed. Says how many orders they are.
    async fn note(
        &self,
        connection: &mut PgConnection,
        lines: &[(i32, i32)],
    ) -> Result<usize, sqlx::Error> {
        let (numbers, changes) = changes(lines, self.change);
        if numbers.is_empty() {
            return Ok(0);
        }
        sqlx::query!(
            "UPDATE orders SET version = version + 1 WHERE publication = $1 AND number = ANY ($2::int[])",
            self.publication,
            &numbers,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "INSERT INTO journal_change (publication, order_number, version, made_at, login, changes)
             SELECT $1, o.number, o.version, now(), $4, t.changes
             FROM unnest($2::int[], $3::jsonb[]) AS t (number, changes)
             CROSS JOIN LATERAL (
                 SELECT o.number, o.version FROM orders o WHERE o.publication = $1 AND o.number = t.number OFFSET 0
             ) o",
            self.publication,
            &numbers,
            &changes,
            self.by.login,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "INSERT INTO feed AS f (publication, order_number, version, changed_at, changed_by, by_operator)
             SELECT $1, o.number, o.version, clock_timestamp(), 'operator', o.version
             FROM unnest($2::int[]) AS t (number)
             CROSS JOIN LATERAL (
                 SELECT o.number, o.version FROM orders o WHERE o.publication = $1 AND o.number = t.number OFFSET 0
             ) o
             ON CONFLICT (publication, order_number) DO UPDATE
             SET version = excluded.version, position = NULL, changed_at = excluded.changed_at,
                 changed_by = excluded.changed_by, by_operator = excluded.by_operator",
            self.publication,
            &numbers,
        )
        .execute(&mut *connection)
        .await?;
        let (kind, product) = match self.change {
            Change::Fill(product) => ("fill", product),
            Change::Empty(product) => ("empty", product),
        };
        let details = json!({
            "product_id": self.product_id, "product": product, "lines": lines.len(), "orders": numbers.len(),
        });
        self.by
            .note(connection, self.publication, kind, None, &details)
            .await?;
        Ok(numbers.len())
    }
}

fn is_full(numbers: &[i32]) -> bool {
    i64::try_from(numbers.len()).is_ok_and(|count| count >= FILLED_AT_ONCE)
}

/// Of each order once: its number, and what its history says (as [`crate::order::history`] does).
fn changes(lines: &[(i32, i32)], change: Change) -> (Vec<i32>, Vec<Value>) {
    let products = change.products();
    let mut lines = lines.to_vec();
    lines.sort_unstable();
    let of_order = lines.chunk_by(|one, other| one.0 == other.0);
    let changes = of_order.map(|lines| {
        let fields = lines.iter().map(|(_, position)| {
            let field = format!("order_item_list[{position}].product");
            (field, json!(products))
        });
        (lines[0].0, Value::Object(fields.collect()))
    });
    changes.unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_order_are_one_change_of_its_history() {
        let lines = [(8, 0), (7, 2), (8, 3)];
        let (numbers, filled) = changes(&lines, Change::Fill(5));
        assert_eq!(numbers, [7, 8]);
        assert_eq!(
            filled,
            [
                json!({ "order_item_list[2].product": [null, 5] }),
                json!({ "order_item_list[0].product": [null, 5], "order_item_list[3].product": [null, 5] }),
            ]
        );
        let (_, emptied) = changes(&lines[1..2], Change::Empty(5));
        assert_eq!(
            emptied,
            [json!({ "order_item_list[2].product": [5, null] })]
        );
    }
}
