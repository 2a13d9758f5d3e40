//! What PostgreSQL itself allows, on the same database in the same run: a bare row and its commit, and the best
//! set-based shape for the same orders, without HTTP, validation or answers.
//!
//! It works in a schema of its own, made like the service's and dropped afterwards.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use super::{Error, Latency, histogram, orders::Orders, per_second};

/// Text in the statement that stands for the schema.
const SCHEMA: &str = "%schema%";

/// What PostgreSQL did in the given time.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    /// One row of 1.5 KB and its commit.
    pub bare_insert_ms: Latency,
    /// Orders in a batch of the set-based shape.
    pub batch: usize,
    /// New orders a second in that shape, one connection.
    pub orders_per_second: f64,
    /// A batch of it.
    pub batch_ms: Latency,
}

/// Measures for that long each.
///
/// # Errors
/// When the database does not let us.
pub async fn measure(
    options: &PgConnectOptions,
    batch: usize,
    time: Duration,
    seed: u64,
) -> Result<Floor, Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let schema = format!("aqua_load_{}", std::process::id());
    let measured = measure_in(&mut connection, &schema, batch, time, seed).await;
    let dropped = sql(
        &mut connection,
        &format!("DROP SCHEMA IF EXISTS {schema} CASCADE"),
    )
    .await;
    let floor = measured?;
    dropped?;
    connection.close().await?;
    Ok(floor)
}

/// A statement about a schema whose name is made up at run time: not one that the compiler could check.
async fn sql(connection: &mut PgConnection, text: &str) -> Result<(), Error> {
    connection.execute(AssertSqlSafe(text.to_owned())).await?;
    Ok(())
}

async fn measure_in(
    connection: &mut PgConnection,
    schema: &str,
    batch: usize,
    time: Duration,
    seed: u64,
) -> Result<Floor, Error> {
    sql(connection, &format!("CREATE SCHEMA {schema}")).await?;
    for table in ["client", "address", "orders", "order_item"] {
        sql(
            connection,
            &format!("CREATE TABLE {schema}.{table} (LIKE {table} INCLUDING ALL)"),
        )
        .await?;
    }
    for key in [
        "address ADD FOREIGN KEY (publication, client_number) REFERENCES %.client (publication, number)",
        "orders ADD FOREIGN KEY (publication, client_number) REFERENCES %.client (publication, number)",
        "orders ADD FOREIGN KEY (publication, address_number) REFERENCES %.address (publication, number)",
        "order_item ADD FOREIGN KEY (publication, order_number) REFERENCES %.orders (publication, number)",
    ] {
        sql(
            connection,
            &format!("ALTER TABLE {schema}.{}", key.replace('%', schema)),
        )
        .await?;
    }
    sql(
        connection,
        &format!("CREATE TABLE {schema}.bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)"),
    )
    .await?;

    let mut orders = Orders::new(schema.to_owned(), seed, 0);
    let body = orders.order().0.to_string();
    let insert = format!("INSERT INTO {schema}.bare (body) VALUES ($1)");
    let mut bare = histogram()?;
    let begun = Instant::now();
    while begun.elapsed() < time {
        let at = Instant::now();
        sqlx::query(AssertSqlSafe(insert.clone()))
            .bind(&body)
            .execute(&mut *connection)
            .await?;
        bare.saturating_record(microseconds(at));
    }

    let statement = include_str!("floor.sql").replace(SCHEMA, schema);
    let mut made = Made::default();
    let mut batches = histogram()?;
    let (mut stored, mut spent) = (0, Duration::ZERO);
    while spent < time {
        let rows = made.rows(&orders.batch(batch));
        let at = Instant::now();
        rows.insert(connection, &statement).await?;
        batches.saturating_record(microseconds(at));
        spent += at.elapsed();
        stored += batch as u64;
    }
    Ok(Floor {
        bare_insert_ms: Latency::of(&bare),
        batch,
        orders_per_second: per_second(stored, spent),
        batch_ms: Latency::of(&batches),
    })
}

fn microseconds(from: Instant) -> u64 {
    u64::try_from(from.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Clients stored so far, and the numbers given.
#[derive(Default)]
struct Made {
    clients: HashMap<String, i32>,
    orders: i32,
}

/// A batch as columns.
#[derive(Default)]
struct Rows {
    client: Vec<i32>,
    client_id: Vec<String>,
    username: Vec<String>,
    phone: Vec<String>,
    account: Vec<i64>,
    address: [Vec<String>; 7],
    order: Vec<i32>,
    order_id: Vec<String>,
    order_client: Vec<i32>,
    total: Vec<Decimal>,
    item_order: Vec<i32>,
    position: Vec<i32>,
    product: Vec<String>,
    name: Vec<String>,
    price: Vec<Decimal>,
    quantity: Vec<i32>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn int(value: &Value) -> i32 {
    value
        .as_i64()
        .and_then(|number| number.try_into().ok())
        .unwrap_or_default()
}

impl Made {
    fn rows<T>(&mut self, batch: &[(Value, T)]) -> Rows {
        let mut rows = Rows::default();
        for (order, _) in batch {
            let client = &order["client"];
            let key = client["id"]
                .as_str()
                .or(client["phone"].as_str())
                .unwrap_or_default();
            let next = i32::try_from(self.clients.len()).unwrap_or(i32::MAX) + 1;
            let number = *self.clients.entry(key.to_owned()).or_insert_with(|| {
                rows.client.push(next);
                rows.client_id.push(key.to_owned());
                rows.username.push(text(&client["username"]));
                rows.phone.push(text(&client["phone"]));
                rows.account.push(i64::from(next));
                let address = &order["shipping_address"];
                for (column, field) in rows.address.iter_mut().zip([
                    "city", "street", "house", "str", "entrance", "floor", "room",
                ]) {
                    column.push(text(&address[field]));
                }
                next
            });
            self.orders += 1;
            rows.order.push(self.orders);
            rows.order_id.push(text(&order["id"]));
            rows.order_client.push(number);
            rows.total.push(int(&order["total"]).into());
            for (position, item) in order["order_item_list"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                rows.item_order.push(self.orders);
                rows.position
                    .push(i32::try_from(position).unwrap_or(i32::MAX));
                rows.product.push(text(&item["product_id"]));
                rows.name.push(text(&item["name"]));
                rows.price.push(int(&item["price"]).into());
                rows.quantity.push(int(&item["quantity"]));
            }
        }
        rows
    }
}

impl Rows {
    async fn insert(&self, connection: &mut PgConnection, statement: &str) -> Result<(), Error> {
        let mut query = sqlx::query(AssertSqlSafe(statement.to_owned()))
            .bind(&self.client)
            .bind(&self.client_id)
            .bind(&self.username)
            .bind(&self.phone)
            .bind(&self.account)
            // A client's one address has the client's number.
            .bind(&self.client);
        for column in &self.address {
            query = query.bind(column);
        }
        query
            .bind(&self.order)
            .bind(&self.order_id)
            .bind(&self.order_client)
            .bind(&self.order_client)
            .bind(&self.total)
            .bind(&self.item_order)
            .bind(&self.position)
            .bind(&self.product)
            .bind(&self.name)
            .bind(&self.price)
            .bind(&self.quantity)
            .execute(connection)
            .await?;
        Ok(())
    }
}
