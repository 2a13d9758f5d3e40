//! What PostgreSQL itself allows, on the same database in the same run: a bare row and its commit, and the best
//! set-based shapes we know for the same orders, without HTTP, validation or answers.
//!
//! It works in a schema of its own, made like the service's and dropped afterwards, over a connection like the service's:
//! the same settings, statements prepared once, tables that are filled and analysed before the clock starts.

use std::time::{Duration, Instant};

use aqua_orders::{
    load::{
        Error, Latency, histogram, median,
        orders::{Orders, PRODUCTS},
    },
    store::PLANNING,
};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use self::rows::{Made, Rows};

pub mod in_turn;
mod insert;
mod read;
mod rows;

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

impl Floor {
    /// Makes the schema, fills it and gathers its statistics. [`Floor::close`] takes it away again.
    pub async fn open(options: &PgConnectOptions, batch: usize, seed: u64) -> Result<Self, Error> {
        let options = options
            .clone()
            .application_name("aqua-orders floor")
            // As the service's own connections.
            .options(PLANNING)
            // Of what goes with the schema at the end nobody wants to read.
            .options([("client_min_messages", "warning")]);
        let schema = format!("aqua_floor_{}", Uuid::now_v7().simple());
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
             CREATE TABLE %schema%.feed (LIKE feed INCLUDING ALL);
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
            "ANALYZE %schema%.client, %schema%.address, %schema%.orders, %schema%.order_item, %schema%.feed,
                 %schema%.journal_batch",
        )
        .await
    }

    fn rows(&mut self, batch: usize) -> Rows {
        let batch: Vec<_> = (0..batch).map(|_| self.orders.order()).collect();
        self.made.rows(&batch)
    }

    /// One row of 1.5 KB and its commit, over and over.
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
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
