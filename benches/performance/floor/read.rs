//! Stored orders, as a re-send that changes nothing needs them.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use aqua_orders::load::{Error, Latency, histogram, per_second};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};
use uuid::Uuid;

use super::{Batches, FEWEST, Floor, SCHEMA, microseconds, rows::int_of};

impl Floor {
    /// The stored orders of whole batches with their lines, clients and addresses, every column read into a typed value,
    /// and a row of the journal: what a re-send that changes nothing cannot do without.
    ///
    /// Three statements that look up keys, for one with a column for everything (as `UNION ALL` makes it) decodes mostly
    /// empty columns; more than that, for a client joined to its addresses is one row in nearly every case.
    pub async fn read(&mut self, time: Duration) -> Result<Batches, Error> {
        let [orders, items, clients, journal] =
            [READ_ORDER, READ_ITEM, READ_CLIENT, JOURNAL_ASYNCHRONOUS]
                .map(|text| text.replace(SCHEMA, &self.schema));
        let mut times = histogram()?;
        let (mut batches, begun) = (0, Instant::now());
        while begun.elapsed() < time || batches < FEWEST {
            self.turn = (self.turn + 1) % self.stored.len();
            let ids = &self.stored[self.turn];
            let at = Instant::now();
            let found: Vec<OrderRow> = sqlx::query(AssertSqlSafe(orders.clone()))
                .bind(ids)
                .try_map(|row: PgRow| order_row(&row))
                .fetch_all(&mut self.connection)
                .await?;
            if found.len() != ids.len() {
                return Err("orders that were stored are gone".into());
            }
            let (numbers, mut client_numbers): (Vec<i32>, Vec<i32>) =
                found.iter().map(|order| (order.0, order.4)).unzip();
            client_numbers.sort_unstable();
            client_numbers.dedup();
            let lines: Vec<ItemRow> = sqlx::query(AssertSqlSafe(items.clone()))
                .bind(&numbers)
                .try_map(|row: PgRow| item_row(&row))
                .fetch_all(&mut self.connection)
                .await?;
            let their: Vec<ClientRow> = sqlx::query(AssertSqlSafe(clients.clone()))
                .bind(&client_numbers)
                .try_map(|row: PgRow| client_row(&row))
                .fetch_all(&mut self.connection)
                .await?;
            sqlx::query(AssertSqlSafe(journal.clone()))
                .bind(Uuid::now_v7())
                .bind(int_of(ids.len()))
                .execute(&mut self.connection)
                .await?;
            times.saturating_record(microseconds(at.elapsed()));
            black_box((found, lines, their));
            batches += 1;
        }
        Ok(Batches {
            shape: "a statement for each of orders, lines, clients with addresses; a row of the journal",
            orders_per_second: per_second(u64::from(batches) * self.batch as u64, begun.elapsed()),
            batch_ms: Latency::of(&times),
            tried: Vec::new(),
        })
    }
}

const READ_ORDER: &str = "
SELECT number, version, uuid, sender_id, client_number, address_number, status, created_at, total, delivery_cost, coins,
       payment_type, payment_status, shipping_date_from, shipping_date_to, comment, count_of_returned_bottles,
       ask_for_checkout::text, shipping_address::text
FROM %schema%.orders WHERE publication = 'floor' AND sender_id = ANY($1::text[])";

const READ_ITEM: &str = "
SELECT order_number, position, product_id, sender_id, external_id, product_number, name, price, quantity, order_product_id
FROM %schema%.order_item WHERE publication = 'floor' AND order_number = ANY($1::int[])";

const READ_CLIENT: &str = "
SELECT c.number, c.version, c.sender_id, c.guest_phone, c.username, c.phone, c.phones, c.email, c.comment,
       c.account_number, c.type, c.bank_account::text, c.legal_address, c.coins_amount, c.loyalty_system_is_active,
       a.number, a.sender_id, a.city, a.street, a.house, a.str, a.entrance, a.floor, a.room, a.district_number
FROM %schema%.client c
LEFT JOIN %schema%.address a ON a.publication = 'floor' AND a.client_number = c.number
WHERE c.publication = 'floor' AND c.number = ANY($1::int[])";

const JOURNAL_ASYNCHRONOUS: &str = "
WITH asynchronous AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO %schema%.journal_batch (publication, batch, received_at, stored_at, deadline, request_id, login, orders,
                                    accepted, rejected, updated_rows, changed_rows)
SELECT 'floor', $1, now(), clock_timestamp(), now() + interval '1 minute', 'floor', NULL, $2, $2, 0, 0, 0
FROM asynchronous";

type OrderRow = (
    i32,
    i32,
    Uuid,
    String,
    i32,
    i32,
    String,
    DateTime<Utc>,
    Decimal,
    Option<Decimal>,
    Option<Decimal>,
    Option<String>,
    (bool, DateTime<Utc>, DateTime<Utc>),
    Option<String>,
    i32,
    (Option<String>, String),
);

fn order_row(row: &PgRow) -> Result<OrderRow, sqlx::Error> {
    Ok((
        row.try_get_unchecked(0)?,
        row.try_get_unchecked(1)?,
        row.try_get_unchecked(2)?,
        row.try_get_unchecked(3)?,
        row.try_get_unchecked(4)?,
        row.try_get_unchecked(5)?,
        row.try_get_unchecked(6)?,
        row.try_get_unchecked(7)?,
        row.try_get_unchecked(8)?,
        row.try_get_unchecked(9)?,
        row.try_get_unchecked(10)?,
        row.try_get_unchecked(11)?,
        (
            row.try_get_unchecked(12)?,
            row.try_get_unchecked(13)?,
            row.try_get_unchecked(14)?,
        ),
        row.try_get_unchecked(15)?,
        row.try_get_unchecked(16)?,
        (row.try_get_unchecked(17)?, row.try_get_unchecked(18)?),
    ))
}

type ItemRow = (
    i32,
    i32,
    String,
    Option<String>,
    Option<i32>,
    Option<i32>,
    Option<String>,
    Decimal,
    i32,
    Option<i64>,
);

fn item_row(row: &PgRow) -> Result<ItemRow, sqlx::Error> {
    Ok((
        row.try_get_unchecked(0)?,
        row.try_get_unchecked(1)?,
        row.try_get_unchecked(2)?,
        row.try_get_unchecked(3)?,
        row.try_get_unchecked(4)?,
        row.try_get_unchecked(5)?,
        row.try_get_unchecked(6)?,
        row.try_get_unchecked(7)?,
        row.try_get_unchecked(8)?,
        row.try_get_unchecked(9)?,
    ))
}

/// Its texts, and its address's.
type ClientRow = (
    (i32, i32, Option<i64>, Decimal, Option<bool>),
    [Option<String>; 8],
    (Vec<String>, Vec<String>),
    (Option<i32>, Option<i32>),
    [Option<String>; 8],
);

fn client_row(row: &PgRow) -> Result<ClientRow, sqlx::Error> {
    let text = |at: usize| row.try_get_unchecked(at);
    Ok((
        (
            row.try_get_unchecked(0)?,
            row.try_get_unchecked(1)?,
            row.try_get_unchecked(9)?,
            row.try_get_unchecked(13)?,
            row.try_get_unchecked(14)?,
        ),
        [
            text(2)?,
            text(3)?,
            text(4)?,
            text(5)?,
            text(7)?,
            text(8)?,
            text(10)?,
            text(11)?,
        ],
        (row.try_get_unchecked(6)?, row.try_get_unchecked(12)?),
        (row.try_get_unchecked(15)?, row.try_get_unchecked(24)?),
        [
            text(16)?,
            text(17)?,
            text(18)?,
            text(19)?,
            text(20)?,
            text(21)?,
            text(22)?,
            text(23)?,
        ],
    ))
}
