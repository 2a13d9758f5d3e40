//! New orders, in several shapes.

use std::time::{Duration, Instant};

use aqua_orders::load::{Error, Latency, histogram, per_second};
use sqlx::{AssertSqlSafe, Connection};
use uuid::Uuid;

use super::{
    Batches, FEWEST, Floor, SCHEMA, microseconds,
    rows::{Rows, int_of},
};

/// A way to store new orders. On two cores one statement for all is the best up to some thousand orders (with 10 a third
/// better than one for each table, with 1,000 a tenth), for every statement is a round trip; from 5,000 on `COPY`, which
/// fills pages by the dozen, is a few per cent better. So all are tried.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// One statement for all tables.
    Together,
    /// A statement for each table, in one transaction.
    Apart,
    /// `COPY` into each table, in one transaction.
    Copy,
}

impl Shape {
    const ALL: [Self; 3] = [Self::Together, Self::Apart, Self::Copy];

    fn name(self) -> &'static str {
        match self {
            Self::Together => "one statement",
            Self::Apart => "a statement for each table",
            Self::Copy => "COPY into each table",
        }
    }
}

impl Floor {
    /// New orders in the best shape we know.
    pub async fn insert(&mut self, time: Duration) -> Result<Batches, Error> {
        let mut best: Option<Batches> = None;
        let mut all = Vec::new();
        for shape in Shape::ALL {
            let tried = self
                .insert_as(shape, time / u32::try_from(Shape::ALL.len())?)
                .await?;
            all.push((tried.shape, tried.orders_per_second));
            if best
                .as_ref()
                .is_none_or(|best| best.orders_per_second < tried.orders_per_second)
            {
                best = Some(tried);
            }
        }
        let best = best.ok_or("no shape to measure")?;
        Ok(Batches { tried: all, ..best })
    }

    async fn insert_as(&mut self, shape: Shape, time: Duration) -> Result<Batches, Error> {
        let mut times = histogram()?;
        let (mut batches, mut spent) = (0, Duration::ZERO);
        while spent < time || batches < FEWEST {
            // The orders as columns are ready before the clock starts; what is made of them for the wire is not.
            let rows = self.rows(self.batch);
            let at = Instant::now();
            match shape {
                Shape::Together => self.together(&rows).await?,
                Shape::Apart => self.apart(&rows).await?,
                Shape::Copy => self.copy(&rows).await?,
            }
            let took = at.elapsed();
            times.saturating_record(microseconds(took));
            spent += took;
            batches += 1;
        }
        Ok(Batches {
            shape: shape.name(),
            orders_per_second: per_second(u64::from(batches) * self.batch as u64, spent),
            batch_ms: Latency::of(&times),
            tried: Vec::new(),
        })
    }

    pub(super) async fn together(&mut self, rows: &Rows) -> Result<(), Error> {
        let statement = include_str!("together.sql").replace(SCHEMA, &self.schema);
        let query = sqlx::query(AssertSqlSafe(statement));
        let query = rows.bind_items(rows.bind_orders(rows.bind_clients(query)));
        let query = query.bind(Uuid::now_v7()).bind(int_of(rows.order.len()));
        query.execute(&mut self.connection).await?;
        Ok(())
    }

    async fn apart(&mut self, rows: &Rows) -> Result<(), Error> {
        let schema = self.schema.clone();
        let statement = |text: &str| sqlx::query(AssertSqlSafe(text.replace(SCHEMA, &schema)));
        let mut transaction = self.connection.begin().await?;
        if !rows.client.is_empty() {
            // The clients' columns, and their addresses' beside them.
            let clients = rows.bind_clients(statement(CLIENTS));
            clients.execute(&mut *transaction).await?;
        }
        let orders = rows.bind_orders(statement(ORDERS));
        orders.execute(&mut *transaction).await?;
        let items = rows.bind_items(statement(ITEMS));
        items.execute(&mut *transaction).await?;
        let feed = statement(FEED).bind(&rows.order);
        feed.execute(&mut *transaction).await?;
        let journal = statement(JOURNAL)
            .bind(Uuid::now_v7())
            .bind(int_of(rows.order.len()));
        journal.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn copy(&mut self, rows: &Rows) -> Result<(), Error> {
        let schema = self.schema.clone();
        let mut transaction = self.connection.begin().await?;
        for (table, text) in rows.copied() {
            if text.is_empty() {
                continue;
            }
            let statement = format!("COPY {schema}.{table} FROM STDIN");
            let mut copy = transaction.copy_in_raw(&statement).await?;
            copy.send(text.into_bytes()).await?;
            copy.finish().await?;
        }
        let journal = JOURNAL.replace(SCHEMA, &schema);
        sqlx::query(AssertSqlSafe(journal))
            .bind(Uuid::now_v7())
            .bind(int_of(rows.order.len()))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

const CLIENTS: &str = "
WITH client AS (
    INSERT INTO %schema%.client (publication, number, sender_id, guest_phone, username, phone, email, account_number,
                                 type)
    SELECT 'floor', t.*
    FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[]) AS t
)
INSERT INTO %schema%.address (publication, number, client_number, sender_id, city, street, house, str, entrance, floor,
                              room)
SELECT 'floor', t.* FROM unnest($1::int[], $1::int[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
                                $14::text[], $15::text[], $16::text[]) AS t";

const ORDERS: &str = "
INSERT INTO %schema%.orders (publication, number, uuid, sender_id, status, client_number, address_number, created_at,
                             total, delivery_cost, coins, payment_type, shipping_date_from, shipping_date_to, comment,
                             count_of_returned_bottles, shipping_address)
SELECT 'floor', number, uuid, sender_id, 'new', client_number, client_number, now(), total, 30, 0, 'cash',
       '2026-11-01 09:00Z', '2026-11-01 18:00Z', 'Позвонить за час до доставки', 1, shipping_address
FROM unnest($1::int[], $2::uuid[], $3::text[], $4::int[], $5::numeric[], $6::jsonb[])
    AS t (number, uuid, sender_id, client_number, total, shipping_address)";

const ITEMS: &str = "
INSERT INTO %schema%.order_item (publication, order_number, position, product_id, sender_id, product_number, name,
                                 price, quantity, order_product_id)
SELECT 'floor', number, position, product_id, product_id, product_number, name, price, quantity, 1
FROM unnest($1::int[], $2::int[], $3::text[], $4::int[], $5::text[], $6::numeric[], $7::int[])
    AS t (number, position, product_id, product_number, name, price, quantity)";

const FEED: &str = "
INSERT INTO %schema%.feed (publication, order_number, version, changed_at, changed_by, by_sender)
SELECT 'floor', number, 1, clock_timestamp(), 'sender', 1 FROM unnest($1::int[]) AS t (number)";

const JOURNAL: &str = "
INSERT INTO %schema%.journal_batch (publication, batch, received_at, stored_at, deadline, request_id, login, orders,
                                    accepted, rejected, updated_rows, changed_rows)
VALUES ('floor', $1, now(), clock_timestamp(), now() + interval '1 minute', 'floor', NULL, $2, $2, 0, 0, 0)";
