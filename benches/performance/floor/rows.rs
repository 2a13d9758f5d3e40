//! Made-up orders as the columns of the statements.

use std::{collections::HashMap, fmt::Write as _};

use aqua_orders::load::orders::{PRODUCTS, product_id};
use chrono::Utc;
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

/// Clients stored so far, and the numbers given.
#[derive(Debug, Default)]
pub(super) struct Made {
    clients: HashMap<String, i32>,
    products: HashMap<String, i32>,
    orders: i32,
}

/// A batch as columns. A client's one address has the client's number.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) client: Vec<i32>,
    client_id: Vec<Option<String>>,
    guest_phone: Vec<Option<String>>,
    username: Vec<String>,
    phone: Vec<String>,
    email: Vec<Option<String>>,
    account: Vec<i64>,
    kind: Vec<String>,
    /// The sender's id of the address, and its content.
    address: [Vec<Option<String>>; 8],
    pub(super) order: Vec<i32>,
    uuid: Vec<Uuid>,
    pub(super) order_id: Vec<String>,
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

pub(super) fn int_of(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
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

    pub(super) fn rows<T>(&mut self, batch: &[(Value, T)]) -> Rows {
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
    pub(super) fn bind_clients<'q>(&'q self, mut query: Query<'q>) -> Query<'q> {
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

    pub(super) fn bind_orders<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query
            .bind(&self.order)
            .bind(&self.uuid)
            .bind(&self.order_id)
            .bind(&self.order_client)
            .bind(&self.total)
            .bind(&self.shipping_address)
    }

    pub(super) fn bind_items<'q>(&'q self, query: Query<'q>) -> Query<'q> {
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
    pub(super) fn copied(&self) -> [(&'static str, String); 5] {
        let now = Utc::now().to_rfc3339();
        let or_null = |text: &'_ Option<String>| text.as_deref().unwrap_or("\\N").to_owned();
        let [mut clients, mut addresses, mut orders, mut items, mut feed] =
            [const { String::new() }; 5];
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
            let _ = writeln!(feed, "floor\t{number}\t1\t{now}\tsender\t1");
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
            (
                "feed (publication, order_number, version, changed_at, changed_by, by_sender)",
                feed,
            ),
        ]
    }
}
