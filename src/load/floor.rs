//! What PostgreSQL itself allows, on the same database in the same run: a bare row and its commit, and the best
//! set-based shapes we know for the same orders, without HTTP, validation or answers.
//!
//! It works in a schema of its own, made like the service's and dropped afterwards, over a connection like the service's:
//! the same settings, statements prepared once, tables that are filled and analysed before the clock starts.

use std::{
    collections::HashMap,
    fmt::Write as _,
    hint::black_box,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, Row,
    postgres::{PgConnectOptions, PgRow},
    types::Json,
};
use uuid::Uuid;

use super::{
    Error, Latency, histogram, median,
    orders::{Orders, PRODUCTS, product_id},
    per_second,
};
use crate::store::PLANNING;

/// Text in the statements that stands for the schema.
const SCHEMA: &str = "%schema%";
/// Orders stored before the clock starts; about so many know all regular clients.
const FILLED: usize = 6_000;
/// What is read again and again: about so many orders, in at most [`READ_BATCHES`] batches.
const READ_ORDERS: usize = 16_000;
/// See [`READ_ORDERS`].
const READ_BATCHES: usize = 16;
/// Nothing is measured by fewer batches than this, however large they are.
const FEWEST: u32 = 3;

/// A place to measure PostgreSQL in.
#[derive(Debug)]
pub struct Floor {
    connection: PgConnection,
    schema: String,
    batch: usize,
    orders: Orders,
    made: Made,
    /// Stored batches, to be read again: the orders' ids.
    stored: Vec<Vec<String>>,
    turn: usize,
}

/// What PostgreSQL did with whole batches.
#[derive(Debug, Clone, Serialize)]
pub struct Batches {
    /// In which shape: the best of those tried.
    pub shape: &'static str,
    /// Orders a second, one connection.
    pub orders_per_second: f64,
    /// A batch's time, milliseconds.
    pub batch_ms: Latency,
    /// Orders a second of each shape that was tried.
    pub tried: Vec<(&'static str, f64)>,
}

impl Batches {
    /// The medians of several rounds; `None` of none.
    #[must_use]
    pub fn median(rounds: &[Self]) -> Option<Self> {
        let times: Vec<Latency> = rounds.iter().map(|round| round.batch_ms.clone()).collect();
        Some(Self {
            shape: rounds.first()?.shape,
            orders_per_second: median(rounds.iter().map(|round| round.orders_per_second)),
            batch_ms: Latency::median(&times),
            tried: rounds[0]
                .tried
                .iter()
                .enumerate()
                .map(|(at, (shape, _))| {
                    let of = |round: &Self| round.tried.get(at).map_or(f64::NAN, |tried| tried.1);
                    (*shape, median(rounds.iter().map(of)))
                })
                .collect(),
        })
    }
}

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
    /// Makes the schema, fills it and gathers its statistics. [`Floor::close`] takes it away again.
    ///
    /// # Errors
    /// When the database does not let us.
    pub async fn open(options: &PgConnectOptions, batch: usize, seed: u64) -> Result<Self, Error> {
        let options = options
            .clone()
            .application_name("aqua-orders load")
            // As the service's own connections.
            .options(PLANNING)
            // Of what goes with the schema at the end nobody wants to read.
            .options([("client_min_messages", "warning")]);
        let schema = format!("aqua_load_{}", Uuid::now_v7().simple());
        let mut floor = Self {
            connection: PgConnection::connect_with(&options).await?,
            orders: Orders::new(schema.clone(), seed, 0),
            schema,
            batch: batch.max(1),
            made: Made::default(),
            stored: Vec::new(),
            turn: 0,
        };
        match floor.fill().await {
            Ok(()) => Ok(floor),
            Err(error) => {
                // What hindered us first is what there is to say.
                let _left = floor.close().await;
                Err(error)
            }
        }
    }

    /// Drops the schema.
    ///
    /// # Errors
    /// When it stays.
    pub async fn close(mut self) -> Result<(), Error> {
        self.sql("DROP SCHEMA IF EXISTS %schema% CASCADE").await?;
        self.connection.close().await?;
        Ok(())
    }

    /// A statement about a schema whose name is made up at run time: not one that the compiler could check.
    async fn sql(&mut self, text: &str) -> Result<(), Error> {
        let text = text.replace(SCHEMA, &self.schema);
        self.connection.execute(AssertSqlSafe(text)).await?;
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), Error> {
        self.sql(
            "CREATE SCHEMA %schema%;
             CREATE TABLE %schema%.product (LIKE product INCLUDING ALL);
             CREATE TABLE %schema%.client (LIKE client INCLUDING ALL);
             CREATE TABLE %schema%.address (LIKE address INCLUDING ALL);
             CREATE TABLE %schema%.orders (LIKE orders INCLUDING ALL);
             CREATE TABLE %schema%.order_item (LIKE order_item INCLUDING ALL);
             CREATE TABLE %schema%.journal_batch (LIKE journal_batch INCLUDING ALL);
             ALTER TABLE %schema%.address
                 ADD FOREIGN KEY (publication, client_number) REFERENCES %schema%.client (publication, number);
             ALTER TABLE %schema%.orders
                 ADD FOREIGN KEY (publication, client_number) REFERENCES %schema%.client (publication, number),
                 ADD FOREIGN KEY (publication, address_number) REFERENCES %schema%.address (publication, number);
             ALTER TABLE %schema%.order_item
                 ADD FOREIGN KEY (publication, order_number) REFERENCES %schema%.orders (publication, number),
                 ADD FOREIGN KEY (publication, product_number) REFERENCES %schema%.product (publication, number);
             CREATE TABLE %schema%.bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)",
        )
        .await?;
        let products = format!(
            "INSERT INTO %schema%.product (publication, number, name)
             SELECT 'floor', number, 'Вода' FROM generate_series(1, {PRODUCTS}) AS t (number);
             ANALYZE %schema%.product"
        );
        self.sql(&products).await?;
        for _ in 0..FILLED / 500 {
            let rows = self.rows(500);
            self.together(&rows).await?;
        }
        for _ in 0..(READ_ORDERS / self.batch).clamp(2, READ_BATCHES) {
            let rows = self.rows(self.batch);
            self.together(&rows).await?;
            self.stored.push(rows.order_id);
        }
        self.sql(
            "ANALYZE %schema%.client, %schema%.address, %schema%.orders, %schema%.order_item, %schema%.journal_batch",
        )
        .await
    }

    fn rows(&mut self, batch: usize) -> Rows {
        self.made.rows(&self.orders.batch(batch))
    }

    /// One row of 1.5 KB and its commit, over and over.
    ///
    /// # Errors
    /// When the database does not let us.
    pub async fn bare(&mut self, time: Duration) -> Result<Latency, Error> {
        let body = self.orders.order().0.to_string();
        let insert = format!("INSERT INTO {}.bare (body) VALUES ($1)", self.schema);
        let mut times = histogram()?;
        let begun = Instant::now();
        while begun.elapsed() < time {
            let at = Instant::now();
            sqlx::query(AssertSqlSafe(insert.clone()))
                .bind(&body)
                .execute(&mut self.connection)
                .await?;
            times.saturating_record(microseconds(at.elapsed()));
        }
        Ok(Latency::of(&times))
    }

    /// New orders in the best shape we know.
    ///
    /// # Errors
    /// When the database does not let us.
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

    async fn together(&mut self, rows: &Rows) -> Result<(), Error> {
        let statement = include_str!("floor.sql").replace(SCHEMA, &self.schema);
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

    /// The stored orders of whole batches with their lines, clients and addresses, every column read into a typed value,
    /// and a row of the journal: what a re-send that changes nothing cannot do without.
    ///
    /// Three statements that look up keys, for one with a column for everything (as `UNION ALL` makes it) decodes mostly
    /// empty columns; more than that, for a client joined to its addresses is one row in nearly every case.
    ///
    /// # Errors
    /// When the database does not let us.
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

fn int_of(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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

const JOURNAL: &str = "
INSERT INTO %schema%.journal_batch (publication, batch, received_at, stored_at, deadline, request_id, login, orders,
                                    accepted, rejected, updated_rows, changed_rows)
VALUES ('floor', $1, now(), clock_timestamp(), now() + interval '1 minute', 'floor', NULL, $2, $2, 0, 0, 0)";

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

/// Clients stored so far, and the numbers given.
#[derive(Debug, Default)]
struct Made {
    clients: HashMap<String, i32>,
    products: HashMap<String, i32>,
    orders: i32,
}

/// A batch as columns. A client's one address has the client's number.
#[derive(Debug, Default)]
struct Rows {
    client: Vec<i32>,
    client_id: Vec<Option<String>>,
    guest_phone: Vec<Option<String>>,
    username: Vec<String>,
    phone: Vec<String>,
    email: Vec<Option<String>>,
    account: Vec<i64>,
    kind: Vec<String>,
    /// The sender's id of the address, and its content.
    address: [Vec<Option<String>>; 8],
    order: Vec<i32>,
    uuid: Vec<Uuid>,
    order_id: Vec<String>,
    order_client: Vec<i32>,
    total: Vec<Decimal>,
    shipping_address: Vec<Json<Value>>,
    item_order: Vec<i32>,
    position: Vec<i32>,
    product: Vec<String>,
    product_number: Vec<i32>,
    name: Vec<String>,
    price: Vec<Decimal>,
    quantity: Vec<i32>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn maybe(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn int(value: &Value) -> i32 {
    value
        .as_i64()
        .and_then(|number| number.try_into().ok())
        .unwrap_or_default()
}

impl Made {
    /// Our number of a product of the made-up orders.
    fn product(&mut self, id: &str) -> i32 {
        if self.products.is_empty() {
            self.products = (0..PRODUCTS).map(product_id).zip(1..).collect();
        }
        self.products.get(id).copied().unwrap_or_default()
    }

    fn rows<T>(&mut self, batch: &[(Value, T)]) -> Rows {
        let mut rows = Rows::default();
        for (order, _) in batch {
            let client = &order["client"];
            let key = client["id"]
                .as_str()
                .or(client["phone"].as_str())
                .unwrap_or_default();
            let next = int_of(self.clients.len() + 1);
            let number = *self.clients.entry(key.to_owned()).or_insert_with(|| {
                rows.client.push(next);
                let id = maybe(&client["id"]);
                let phone = text(&client["phone"]);
                rows.guest_phone.push(id.is_none().then(|| phone.clone()));
                rows.client_id.push(id);
                rows.username.push(text(&client["username"]));
                rows.phone.push(phone);
                rows.email.push(maybe(&client["email"]));
                rows.account.push(i64::from(next));
                let kind = maybe(&client["type"]);
                rows.kind.push(kind.unwrap_or_else(|| "fiz".to_owned()));
                // The client's one address is the order's, with an id of the sender's where it has one.
                let id = &client["addresses"][0]["id"];
                let [ids, content @ ..] = &mut rows.address;
                ids.push(maybe(id));
                let address = &order["shipping_address"];
                for (column, field) in content.iter_mut().zip([
                    "city", "street", "house", "str", "entrance", "floor", "room",
                ]) {
                    column.push(maybe(&address[field]));
                }
                next
            });
            self.orders += 1;
            rows.order.push(self.orders);
            rows.uuid.push(Uuid::now_v7());
            rows.order_id.push(text(&order["id"]));
            rows.order_client.push(number);
            rows.total.push(int(&order["total"]).into());
            rows.shipping_address
                .push(Json(order["shipping_address"].clone()));
            for (position, item) in order["order_item_list"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                rows.item_order.push(self.orders);
                rows.position.push(int_of(position));
                let product = text(&item["product_id"]);
                rows.product_number.push(self.product(&product));
                rows.product.push(product);
                rows.name.push(text(&item["name"]));
                rows.price.push(int(&item["price"]).into());
                rows.quantity.push(int(&item["quantity"]));
            }
        }
        rows
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

impl Rows {
    fn bind_clients<'q>(&'q self, mut query: Query<'q>) -> Query<'q> {
        query = query
            .bind(&self.client)
            .bind(&self.client_id)
            .bind(&self.guest_phone)
            .bind(&self.username)
            .bind(&self.phone)
            .bind(&self.email)
            .bind(&self.account)
            .bind(&self.kind);
        for column in &self.address {
            query = query.bind(column);
        }
        query
    }

    fn bind_orders<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query
            .bind(&self.order)
            .bind(&self.uuid)
            .bind(&self.order_id)
            .bind(&self.order_client)
            .bind(&self.total)
            .bind(&self.shipping_address)
    }

    fn bind_items<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query
            .bind(&self.item_order)
            .bind(&self.position)
            .bind(&self.product)
            .bind(&self.product_number)
            .bind(&self.name)
            .bind(&self.price)
            .bind(&self.quantity)
    }

    /// The rows of each table as `COPY` takes them. No made-up text has a tab, a line's end or a backslash in it.
    fn copied(&self) -> [(&'static str, String); 4] {
        let now = Utc::now().to_rfc3339();
        let or_null = |text: &'_ Option<String>| text.as_deref().unwrap_or("\\N").to_owned();
        let [mut clients, mut addresses, mut orders, mut items] = [const { String::new() }; 4];
        for (at, number) in self.client.iter().enumerate() {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(
                clients,
                "floor\t{number}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                or_null(&self.client_id[at]),
                or_null(&self.guest_phone[at]),
                self.username[at],
                self.phone[at],
                or_null(&self.email[at]),
                self.account[at],
                self.kind[at]
            );
            let _ = write!(addresses, "floor\t{number}\t{number}");
            for column in &self.address {
                let _ = write!(addresses, "\t{}", or_null(&column[at]));
            }
            addresses.push('\n');
        }
        for (at, number) in self.order.iter().enumerate() {
            let (client, total) = (self.order_client[at], self.total[at]);
            let Json(address) = &self.shipping_address[at];
            let _ = writeln!(
                orders,
                "floor\t{number}\t{}\t{}\tnew\t{client}\t{client}\t{now}\t{total}\t30\t0\tcash\t2026-11-01 09:00Z\t\
                 2026-11-01 18:00Z\tПозвонить за час до доставки\t1\t{address}",
                self.uuid[at], self.order_id[at]
            );
        }
        for (at, order) in self.item_order.iter().enumerate() {
            let product = &self.product[at];
            let _ = writeln!(
                items,
                "floor\t{order}\t{}\t{product}\t{product}\t{}\t{}\t{}\t{}\t1",
                self.position[at],
                self.product_number[at],
                self.name[at],
                self.price[at],
                self.quantity[at]
            );
        }
        [
            (
                "client (publication, number, sender_id, guest_phone, username, phone, email, account_number, type)",
                clients,
            ),
            (
                "address (publication, number, client_number, sender_id, city, street, house, str, entrance, floor, room)",
                addresses,
            ),
            (
                "orders (publication, number, uuid, sender_id, status, client_number, address_number, created_at, total, \
                 delivery_cost, coins, payment_type, shipping_date_from, shipping_date_to, comment, \
                 count_of_returned_bottles, shipping_address)",
                orders,
            ),
            (
                "order_item (publication, order_number, position, product_id, sender_id, product_number, name, price, \
                 quantity, order_product_id)",
                items,
            ),
        ]
    }
}
