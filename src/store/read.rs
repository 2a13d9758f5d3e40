//! The reading statement of a batch, and the way from its rows to records.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Error, Store};
use crate::order::{
    known::{Keys, Known},
    model::{
        Address, AddressContent, BankAccount, Checkout, Client, ClientPrice, ClientType, Order,
        OrderItem, Product, Status,
    },
};

/// A row of `read.sql`, of whichever kind.
struct Row {
    kind: i16,
    number: Option<i32>,
    version: Option<i32>,
    sender_id: Option<String>,
    guest_phone: Option<String>,
    username: Option<String>,
    phone: Option<String>,
    phones: Option<Vec<String>>,
    email: Option<String>,
    comment: Option<String>,
    account_number: Option<i64>,
    client_type: Option<String>,
    bank_account: Option<Json<BankAccount>>,
    legal_address: Option<Vec<String>>,
    coins_amount: Option<Decimal>,
    loyalty_system_is_active: Option<bool>,
    client_number: Option<i32>,
    city: Option<String>,
    street: Option<String>,
    house: Option<String>,
    str: Option<String>,
    entrance: Option<String>,
    floor: Option<String>,
    room: Option<String>,
    district_number: Option<i32>,
    district_name: Option<String>,
    uuid: Option<Uuid>,
    status: Option<String>,
    address_number: Option<i32>,
    created_at: Option<DateTime<Utc>>,
    total: Option<Decimal>,
    delivery_cost: Option<Decimal>,
    coins: Option<Decimal>,
    payment_type: Option<String>,
    payment_status: Option<bool>,
    shipping_date_from: Option<DateTime<Utc>>,
    shipping_date_to: Option<DateTime<Utc>>,
    count_of_returned_bottles: Option<i32>,
    ask_for_checkout: Option<Json<Checkout>>,
    order_number: Option<i32>,
    position: Option<i32>,
    product_id: Option<String>,
    external_id: Option<i32>,
    product_number: Option<i32>,
    name: Option<String>,
    price: Option<Decimal>,
    quantity: Option<i32>,
    order_product_id: Option<i64>,
    active: Option<bool>,
}

impl Row {
    fn order(self) -> Option<Order> {
        Some(Order {
            number: self.number?,
            uuid: self.uuid?,
            version: self.version?,
            sender_id: self.sender_id?,
            status: Status::parse(&self.status?)?,
            client_number: self.client_number?,
            address_number: self.address_number?,
            created_at: self.created_at?,
            total: self.total?,
            delivery_cost: self.delivery_cost,
            coins: self.coins,
            payment_type: self.payment_type,
            payment_status: self.payment_status?,
            shipping_date_from: self.shipping_date_from?,
            shipping_date_to: self.shipping_date_to?,
            comment: self.comment,
            count_of_returned_bottles: self.count_of_returned_bottles?,
            ask_for_checkout: self.ask_for_checkout.map(|Json(checkout)| checkout),
            items: Vec::new(),
        })
    }

    /// (order's number, place, line)
    fn item(self) -> Option<(i32, i32, OrderItem)> {
        let item = OrderItem {
            product_id: self.product_id?,
            sender_id: self.sender_id,
            external_id: self.external_id,
            product_number: self.product_number,
            name: self.name,
            price: self.price?,
            quantity: self.quantity?,
            order_product_id: self.order_product_id,
        };
        Some((self.order_number?, self.position?, item))
    }

    fn client(self) -> Option<Client> {
        Some(Client {
            number: self.number?,
            version: self.version?,
            sender_id: self.sender_id,
            guest_phone: self.guest_phone,
            username: self.username?,
            phone: self.phone,
            phones: self.phones?,
            email: self.email,
            comment: self.comment,
            account_number: self.account_number,
            kind: ClientType::parse(&self.client_type?)?,
            bank_account: self.bank_account.map(|Json(account)| account),
            legal_address: self.legal_address?,
            coins_amount: self.coins_amount?,
            loyalty_system_is_active: self.loyalty_system_is_active,
            addresses: Vec::new(),
            prices: Vec::new(),
        })
    }

    /// (client's number, address)
    fn address(self) -> Option<(i32, Address)> {
        let content = AddressContent {
            city: self.city?,
            street: self.street?,
            house: self.house?,
            str: self.str?,
            entrance: self.entrance,
            floor: self.floor,
            room: self.room,
        };
        let address = Address {
            number: self.number?,
            sender_id: self.sender_id,
            content,
            district_number: self.district_number,
            district_name: self.district_name,
        };
        Some((self.client_number?, address))
    }

    /// (client's number, price)
    fn price(self) -> Option<(i32, ClientPrice)> {
        let price = ClientPrice {
            product_number: self.product_number?,
            external_product_id: self.sender_id,
            price: self.price?,
            active: self.active?,
        };
        Some((self.client_number?, price))
    }

    /// (the sender's id, product)
    fn product(self) -> Option<(String, Product)> {
        Some((
            self.sender_id?,
            Product {
                number: self.number?,
                name: self.name?,
            },
        ))
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
        known(rows).ok_or(Error::Corrupt("a row of read.sql"))
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
            0 => now = row.created_at,
            1 => known.orders.push(row.order()?),
            2 => items.push(row.item()?),
            3 => {
                known.order_numbers.insert(row.number?);
            }
            4 => known.clients.push(row.client()?),
            5 => addresses.push(row.address()?),
            6 => prices.push(row.price()?),
            7 => {
                known.address_numbers.insert(row.number?);
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
    let client_index: HashMap<i32, usize> = known
        .clients
        .iter()
        .enumerate()
        .map(|(i, client)| (client.number, i))
        .collect();
    addresses.sort_unstable_by_key(|(_, address)| address.number);
    for (client, address) in addresses {
        known.clients[*client_index.get(&client)?]
            .addresses
            .push(address);
    }
    prices.sort_unstable_by_key(|(_, price)| price.product_number);
    for (client, price) in prices {
        known.clients[*client_index.get(&client)?]
            .prices
            .push(price);
    }
    Some(known)
}
