//! The reading statement of a batch, and the way from its rows to records.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::{Error, Store};
use crate::{
    heavy::in_place,
    order::{
        known::{Keys, Known},
        model::{
            Address, AddressContent, BankAccount, Checkout, Client, ClientPrice, ClientType, Order,
            OrderItem, Product, Status,
        },
    },
};

/// A row of `read.sql`, of whichever kind; the ways out of it say what its columns mean.
struct Row {
    kind: i16,
    int_1: Option<i32>,
    int_2: Option<i32>,
    int_3: Option<i32>,
    int_4: Option<i32>,
    int_5: Option<i32>,
    text_1: Option<String>,
    text_2: Option<String>,
    text_3: Option<String>,
    text_4: Option<String>,
    text_5: Option<String>,
    text_6: Option<String>,
    text_7: Option<String>,
    text_8: Option<String>,
    text_9: Option<String>,
    texts_1: Option<Vec<String>>,
    texts_2: Option<Vec<String>>,
    amount_1: Option<Decimal>,
    amount_2: Option<Decimal>,
    amount_3: Option<Decimal>,
    at_1: Option<DateTime<Utc>>,
    at_2: Option<DateTime<Utc>>,
    at_3: Option<DateTime<Utc>>,
    json: Option<Value>,
    uuid: Option<Uuid>,
    flag: Option<bool>,
    big: Option<i64>,
}

/// What a jsonb column holds; inside, `None` where it is not of our making.
#[expect(clippy::option_option, reason = "null is not a defect")]
fn held<T: DeserializeOwned>(json: Option<Value>) -> Option<Option<T>> {
    json.map(serde_json::from_value).transpose().ok()
}

impl Row {
    fn order(self) -> Option<Order> {
        Some(Order {
            number: self.int_1?,
            version: self.int_2?,
            client_number: self.int_3?,
            address_number: self.int_4?,
            count_of_returned_bottles: self.int_5?,
            sender_id: self.text_1?,
            status: Status::parse(&self.text_2?)?,
            payment_type: self.text_3,
            comment: self.text_4,
            total: self.amount_1?,
            delivery_cost: self.amount_2,
            coins: self.amount_3,
            created_at: self.at_1?,
            shipping_date_from: self.at_2?,
            shipping_date_to: self.at_3?,
            ask_for_checkout: held::<Checkout>(self.json)?,
            uuid: self.uuid?,
            payment_status: self.flag?,
            items: Vec::new(),
        })
    }

    /// (order's number, place, line)
    fn item(self) -> Option<(i32, i32, OrderItem)> {
        let item = OrderItem {
            external_id: self.int_3,
            product_number: self.int_4,
            quantity: self.int_5?,
            product_id: self.text_1?,
            sender_id: self.text_2,
            name: self.text_3,
            price: self.amount_1?,
            order_product_id: self.big,
        };
        Some((self.int_1?, self.int_2?, item))
    }

    fn client(self) -> Option<Client> {
        Some(Client {
            number: self.int_1?,
            version: self.int_2?,
            sender_id: self.text_1,
            guest_phone: self.text_2,
            username: self.text_3?,
            phone: self.text_4,
            email: self.text_5,
            comment: self.text_6,
            kind: ClientType::parse(&self.text_7?)?,
            phones: self.texts_1?,
            legal_address: self.texts_2?,
            coins_amount: self.amount_1?,
            bank_account: held::<BankAccount>(self.json)?,
            loyalty_system_is_active: self.flag,
            account_number: self.big,
            addresses: Vec::new(),
            prices: Vec::new(),
        })
    }

    /// (client's number, address)
    fn address(self) -> Option<(i32, Address)> {
        let content = AddressContent {
            city: self.text_2?,
            street: self.text_3?,
            house: self.text_4?,
            str: self.text_5?,
            entrance: self.text_6,
            floor: self.text_7,
            room: self.text_8,
        };
        let address = Address {
            number: self.int_1?,
            district_number: self.int_3,
            sender_id: self.text_1,
            district_name: self.text_9,
            content,
        };
        Some((self.int_2?, address))
    }

    /// (client's number, price)
    fn price(self) -> Option<(i32, ClientPrice)> {
        let price = ClientPrice {
            product_number: self.int_1?,
            external_product_id: self.text_1,
            price: self.amount_1?,
            active: self.flag?,
        };
        Some((self.int_2?, price))
    }

    /// (the sender's id, product)
    fn product(self) -> Option<(String, Product)> {
        let product = Product {
            number: self.int_1?,
            name: self.text_2?,
        };
        Some((self.text_1?, product))
    }
}

impl Store {
    /// Reads all that is stored under a batch's keys, of one moment, in one round trip.
    ///
    /// # Errors
    /// [`Error::Unsure`] where the connection broke: the next one is fresh. [`Error::Unavailable`] else.
    pub async fn read(&self, publication: &str, keys: &Keys) -> Result<Known, Error> {
        let mut connection = self.connection().await?;
        let rows = sqlx::query_file_as!(
            Row,
            "src/store/read.sql",
            publication,
            &list(&keys.order_ids) as &[&String],
            &list(&keys.order_numbers) as &[&i32],
            &list(&keys.client_ids) as &[&String],
            &list(&keys.client_numbers) as &[&i32],
            &list(&keys.guest_phones) as &[&String],
            &list(&keys.product_ids) as &[&String],
            &list(&keys.address_numbers) as &[&i32],
        )
        .fetch_all(&mut *connection);
        let rows = self.in_time(rows).await;
        let rows = self.done(connection, rows)?;
        in_place(rows.len(), || known(rows)).ok_or(Error::Corrupt("a row of read.sql"))
    }
}

fn list<T>(set: &BTreeSet<T>) -> Vec<&T> {
    set.iter().collect()
}

fn known(rows: Vec<Row>) -> Option<Known> {
    let mut now = None;
    let mut known = Known {
        now: DateTime::UNIX_EPOCH,
        orders: Vec::new(),
        order_numbers: BTreeSet::new(),
        clients: Vec::new(),
        address_numbers: BTreeSet::new(),
        products: HashMap::new(),
    };
    let mut items: Vec<(i32, i32, OrderItem)> = Vec::new();
    let mut addresses: Vec<(i32, Address)> = Vec::new();
    let mut prices: Vec<(i32, ClientPrice)> = Vec::new();
    for row in rows {
        match row.kind {
            0 => now = row.at_1,
            1 => known.orders.push(row.order()?),
            2 => items.push(row.item()?),
            3 => {
                known.order_numbers.insert(row.int_1?);
            }
            4 => known.clients.push(row.client()?),
            5 => addresses.push(row.address()?),
            6 => prices.push(row.price()?),
            7 => {
                known.address_numbers.insert(row.int_1?);
            }
            8 => {
                let (id, product) = row.product()?;
                known.products.insert(id, product);
            }
            _ => return None,
        }
    }
    known.now = now?;

    let order_index: HashMap<i32, usize> = known
        .orders
        .iter()
        .enumerate()
        .map(|(i, order)| (order.number, i))
        .collect();
    items.sort_unstable_by_key(|(order, position, _)| (*order, *position));
    for (order, _, item) in items {
        known.orders[*order_index.get(&order)?].items.push(item);
    }
    // A client that was found in two ways came twice, and so did what it has.
    known.clients.sort_unstable_by_key(|client| client.number);
    known.clients.dedup_by_key(|client| client.number);
    let client_index: HashMap<i32, usize> = known
        .clients
        .iter()
        .enumerate()
        .map(|(i, client)| (client.number, i))
        .collect();
    addresses.sort_unstable_by_key(|(_, address)| address.number);
    addresses.dedup_by_key(|(_, address)| address.number);
    for (client, address) in addresses {
        known.clients[*client_index.get(&client)?]
            .addresses
            .push(address);
    }
    prices.sort_unstable_by_key(|(client, price)| (*client, price.product_number));
    prices.dedup_by_key(|(client, price)| (*client, price.product_number));
    for (client, price) in prices {
        known.clients[*client_index.get(&client)?]
            .prices
            .push(price);
    }
    Some(known)
}
