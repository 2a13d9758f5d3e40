//! The reading statement of a batch, and the way from its rows to records.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Utc};
use indexmap::IndexSet;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{Decode, Postgres, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{
    Error, Store,
    client_cache::{Cached, Stamps, Version},
};
use crate::{
    order::{
        known::{Keys, Known},
        model::{
            Address, AddressContent, BankAccount, Checkout, Client, ClientPrice, ClientType, Order,
            OrderItem, Status,
        },
    },
    threads::block_if_many,
};

/// Where the columns of `read.sql` stand, by their type; the first of each.
mod at {
    pub(super) const KIND: usize = 0;
    pub(super) const INT: usize = 1;
    pub(super) const TEXT: usize = 6;
    pub(super) const TEXTS: usize = 15;
    pub(super) const AMOUNT: usize = 17;
    pub(super) const AT: usize = 20;
    pub(super) const JSON: usize = 23;
    pub(super) const UUID: usize = 24;
    pub(super) const FLAG: usize = 25;
    pub(super) const BIG: usize = 26;
    pub(super) const INTS: usize = 27;
}

/// A row of `read.sql`, of whichever kind; the ways out of it say what its columns mean. Only the columns that a kind
/// has are looked at: sqlx's own way from a row takes all of them apart, which took as long as PostgreSQL's work.
struct Row(PgRow);

type Read<T> = Result<T, sqlx::Error>;

/// Something stored that is not of our making.
fn corrupt(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

impl Row {
    fn get<'r, T: Decode<'r, Postgres>>(&'r self, first: usize, number: usize) -> Read<T> {
        // read.sql's columns are checked when we compile, by [`checked`].
        self.0.try_get_unchecked(first + number - 1)
    }

    fn int(&self, number: usize) -> Read<i32> {
        self.get(at::INT, number)
    }

    fn maybe_int(&self, number: usize) -> Read<Option<i32>> {
        self.get(at::INT, number)
    }

    fn text(&self, number: usize) -> Read<String> {
        self.get(at::TEXT, number)
    }

    fn maybe_text(&self, number: usize) -> Read<Option<String>> {
        self.get(at::TEXT, number)
    }

    fn amount(&self, number: usize) -> Read<Decimal> {
        self.get(at::AMOUNT, number)
    }

    fn moment(&self, number: usize) -> Read<DateTime<Utc>> {
        self.get(at::AT, number)
    }

    fn json<T: DeserializeOwned + 'static>(&self) -> Read<Option<T>> {
        let json: Option<Json<T>> = self.get(at::JSON, 1)?;
        Ok(json.map(|Json(value)| value))
    }

    fn order(&self) -> Read<Order> {
        let status: &str = self.get(at::TEXT, 2)?;
        Ok(Order {
            number: self.int(1)?,
            version: self.int(2)?,
            client_number: self.int(3)?,
            address_number: self.maybe_int(4)?,
            shipping_address: self.shipping_address()?,
            count_of_returned_bottles: self.int(5)?,
            sender_id: self.text(1)?,
            status: Status::parse(status).ok_or_else(|| corrupt("a status"))?,
            payment_type: self.maybe_text(3)?,
            comment: self.maybe_text(4)?,
            total: self.amount(1)?,
            delivery_cost: self.get(at::AMOUNT, 2)?,
            coins: self.get(at::AMOUNT, 3)?,
            created_at: self.moment(1)?,
            shipping_date_from: self.moment(2)?,
            shipping_date_to: self.moment(3)?,
            ask_for_checkout: self.json::<Checkout>()?,
            uuid: self.get(at::UUID, 1)?,
            payment_status: self.get(at::FLAG, 1)?,
            items: Vec::new().into(),
        })
    }

    /// An order's own copy of the address.
    fn shipping_address(&self) -> Read<AddressContent> {
        let text: &str = self.get(at::TEXT, 5)?;
        serde_json::from_str(text).map_err(|_| corrupt("an order's own address"))
    }

    /// (order's number, place, line)
    fn item(&self) -> Read<(i32, i32, OrderItem)> {
        let item = OrderItem {
            external_id: self.maybe_int(3)?,
            product_number: self.maybe_int(4)?,
            quantity: self.int(5)?,
            product_id: self.text(1)?,
            sender_id: self.maybe_text(2)?,
            name: self.maybe_text(3)?,
            price: self.amount(1)?,
            order_product_id: self.get(at::BIG, 1)?,
        };
        Ok((self.int(1)?, self.int(2)?, item))
    }

    /// (stamp, client)
    fn client(&self) -> Read<(Arc<str>, Client)> {
        let kind: &str = self.get(at::TEXT, 7)?;
        let client = Client {
            number: self.int(1)?,
            version: self.int(2)?,
            sender_id: self.maybe_text(1)?,
            guest_phone: self.maybe_text(2)?,
            username: self.text(3)?,
            phone: self.maybe_text(4)?,
            email: self.maybe_text(5)?,
            comment: self.maybe_text(6)?,
            kind: ClientType::parse(kind).ok_or_else(|| corrupt("a client's type"))?,
            phones: self.get(at::TEXTS, 1)?,
            legal_address: self.get(at::TEXTS, 2)?,
            coins_amount: self.amount(1)?,
            bank_account: self.json::<BankAccount>()?,
            loyalty_system_is_active: self.get(at::FLAG, 1)?,
            account_number: self.get(at::BIG, 1)?,
            addresses: Vec::new().into(),
            prices: Vec::new().into(),
        };
        let stamp: &str = self.get(at::TEXT, 8)?;
        Ok((stamp.into(), client))
    }

    /// (client's number, address)
    fn address(&self) -> Read<(i32, Address)> {
        let content = AddressContent {
            city: self.text(2)?,
            street: self.text(3)?,
            house: self.text(4)?,
            str: self.text(5)?,
            entrance: self.maybe_text(6)?,
            floor: self.maybe_text(7)?,
            room: self.maybe_text(8)?,
        };
        let address = Address {
            number: self.int(1)?,
            district_number: self.maybe_int(3)?,
            sender_id: self.maybe_text(1)?,
            district_name: self.maybe_text(9)?,
            content,
        };
        Ok((self.int(2)?, address))
    }

    /// (client's number, price)
    fn price(&self) -> Read<(i32, ClientPrice)> {
        let price = ClientPrice {
            product_number: self.int(1)?,
            external_product_id: self.maybe_text(1)?,
            price: self.amount(1)?,
            active: self.get(at::FLAG, 1)?,
        };
        Ok((self.int(2)?, price))
    }

    /// (the sender's id, our number)
    fn product(&self) -> Read<(String, i32)> {
        Ok((self.text(1)?, self.int(1)?))
    }
}

/// The rows so far, still apart.
#[derive(Default)]
struct Rows {
    now: Option<DateTime<Utc>>,
    version: Version,
    /// (number, stamp) of clients.
    cached: Vec<(i32, Arc<str>)>,
    order_numbers: BTreeSet<i32>,
    address_numbers: BTreeSet<i32>,
    orders: Vec<Order>,
    items: Vec<(i32, i32, OrderItem)>,
    clients: Vec<(Arc<str>, Client)>,
    addresses: Vec<(i32, Address)>,
    prices: Vec<(i32, ClientPrice)>,
    products: HashMap<String, i32>,
    /// So many bytes were read, roughly.
    bytes: usize,
}

/// A row's bytes besides its texts, roughly.
const ROW_BYTES: usize = 512;

impl Rows {
    fn count(&self) -> usize {
        self.orders.len() + self.items.len() + self.clients.len() + self.addresses.len()
    }

    /// Whether the client of an order is not among them.
    fn lack_a_client(&self) -> bool {
        if self.orders.is_empty() {
            return false;
        }
        let read = self.clients.iter().map(|(_, client)| client.number);
        let cached = self.cached.iter().map(|(number, _)| *number);
        let clients: HashSet<i32> = read.chain(cached).collect();
        let mut orders = self.orders.iter();
        orders.any(|order| !clients.contains(&order.client_number))
    }

    fn add(&mut self, row: PgRow) -> Read<()> {
        let row = Row(row);
        match row.get::<i16>(at::KIND, 1)? {
            0 => {
                self.now = Some(row.moment(1)?);
                self.version = Version {
                    life: Some(row.moment(2)?),
                    catalogue: row.get(at::BIG, 1)?,
                };
                let numbers: Vec<i32> = row.get(at::INTS, 1)?;
                let stamps: Vec<String> = row.get(at::TEXTS, 1)?;
                self.cached = numbers
                    .into_iter()
                    .zip(stamps.into_iter().map(Arc::from))
                    .collect();
            }
            1 => {
                let order = row.order()?;
                self.bytes += order.bytes();
                self.orders.push(order);
            }
            2 => {
                let item = row.item()?;
                self.bytes += item.2.bytes();
                self.items.push(item);
            }
            3 => {
                let (stamp, client) = row.client()?;
                self.bytes += client.bytes();
                self.clients.push((stamp, client));
            }
            4 => {
                let address = row.address()?;
                self.bytes += address.1.bytes();
                self.addresses.push(address);
            }
            5 => self.prices.push(row.price()?),
            6 => self.products.extend([row.product()?]),
            7 => drop(self.order_numbers.insert(row.int(1)?)),
            8 => drop(self.address_numbers.insert(row.int(1)?)),
            _ => return Err(corrupt("a kind of row")),
        }
        self.bytes += ROW_BYTES;
        Ok(())
    }
}

const READ: &str = include_str!("read.sql");

/// The parts of `read.sql` that may be left out.
const PARTS: usize = 6;

/// The reading statement for such keys; nothing else is in it than what PostgreSQL must prepare.
fn statement(keys: &Keys<'_>, cached: &Cached, orders_clients: bool) -> &'static str {
    static STATEMENTS: [OnceLock<String>; 1 << PARTS] = [const { OnceLock::new() }; 1 << PARTS];
    let parts: [(&str, bool); PARTS] = [
        ("client numbers", !keys.client_numbers.is_empty()),
        ("guests' phones", !keys.guest_phones.is_empty()),
        ("orders' clients", orders_clients),
        ("products", cached.products.is_none()),
        ("order numbers", !keys.order_numbers.is_empty()),
        ("address numbers", !keys.address_numbers.is_empty()),
    ];
    let bits = parts.iter().enumerate();
    let which: usize = bits
        .map(|(bit, (_, wanted))| usize::from(*wanted) << bit)
        .sum();
    STATEMENTS[which].get_or_init(|| with_parts(&parts))
}

fn with_parts(parts: &[(&str, bool)]) -> String {
    let mut statement = String::with_capacity(READ.len());
    let mut wanted = true;
    for line in READ.lines() {
        match line.trim_start().strip_prefix("--").map(str::trim) {
            Some("end") => wanted = true,
            Some(comment) => {
                if let Some(name) = comment.strip_prefix("part ") {
                    wanted = parts.contains(&(name, true));
                }
            }
            None if wanted => {
                statement.push_str(line);
                statement.push('\n');
            }
            None => {}
        }
    }
    statement
}

impl Store {
    /// Reads all that is stored under a batch's keys, of one moment, in one round trip; in two where an import came
    /// since the last reading, or the server is another one, or an order is another client's than the batch says. `anew`: nothing that was read before counts, as when it turned out to be wrong.
    ///
    /// # Errors
    /// [`Error::Unsure`] where the connection broke: the next one is fresh. [`Error::Corrupt`] where what is stored is
    /// not of our making. [`Error::TooMuch`] where it is more than so many bytes, roughly. [`Error::Unavailable`] else.
    pub async fn read(
        &self,
        publication: &str,
        keys: &Keys<'_>,
        anew: bool,
        most_bytes: usize,
    ) -> Result<Known, Error> {
        let mut cached = if anew {
            Cached::nothing(keys)
        } else {
            self.client_cache.get(publication, keys)
        };
        // What cancels an order need not name its client.
        let mut orders_clients = keys.orders_clients;
        let rows = loop {
            let read = self.rows(publication, keys, &cached, orders_clients, most_bytes);
            let rows = read.await?;
            if cached.holds_for != Some(rows.version) && !cached.is_empty() {
                cached = Cached::nothing(keys);
            } else if !orders_clients && rows.lack_a_client() {
                orders_clients = true;
            } else {
                break rows;
            }
        };
        block_if_many(rows.count(), || {
            let version = rows.version;
            let products_are_read = cached.products.is_none();
            let (known, stamps) = known(rows, cached)
                .ok_or_else(|| Error::corrupt("a row without what it belongs to"))?;
            let products = products_are_read.then_some(&known.products);
            let clients = stamps.iter().zip(&known.clients);
            self.client_cache
                .put(publication, keys, version, products, clients);
            Ok(known)
        })
    }

    async fn rows(
        &self,
        publication: &str,
        keys: &Keys<'_>,
        cached: &Cached,
        orders_clients: bool,
        most_bytes: usize,
    ) -> Result<Rows, Error> {
        let mut connection = self.connection().await?;
        let mut rows = Rows::default();
        let Stamps {
            ids,
            numbers,
            guest_phones,
        } = &cached.stamps;
        // Each row is taken apart as it comes, while PostgreSQL makes the next.
        let read = sqlx::query(statement(keys, cached, orders_clients))
            .bind(publication)
            .bind(list(&keys.order_ids))
            .bind(list(&keys.order_numbers))
            .bind(list(&keys.client_ids))
            .bind(list(&keys.client_numbers))
            .bind(list(&keys.guest_phones))
            .bind(list(&keys.product_ids))
            .bind(list(&keys.address_numbers))
            .bind(texts(ids))
            .bind(texts(numbers))
            .bind(texts(guest_phones))
            .try_map(|row| {
                rows.add(row)?;
                if rows.bytes > most_bytes {
                    return Err(corrupt("more than is wanted"));
                }
                Ok(())
            })
            .fetch_all(&mut *connection);
        let read = self.in_time(read).await;
        if rows.bytes > most_bytes {
            // The rest is still on its way: nobody waits for it.
            connection.close();
            return Err(Error::TooMuch);
        }
        self.done(connection, read)?;
        Ok(rows)
    }
}

/// Never called: with it the macro checks, when we compile, that `read.sql` fits the schema and what [`Row`] takes its
/// columns for.
#[expect(dead_code, reason = "only the compiler reads it")]
async fn checked(connection: &mut sqlx::PgConnection, texts: &[String], ints: &[i32]) -> Read<()> {
    let row = sqlx::query_file!(
        "src/store/read.sql",
        "",
        texts,
        ints,
        texts,
        ints,
        texts,
        texts,
        ints,
        texts,
        texts,
        texts,
    )
    .fetch_one(connection)
    .await?;
    let _: (i16, [Option<i32>; 5]) = (
        row.kind,
        [row.int_1, row.int_2, row.int_3, row.int_4, row.int_5],
    );
    let _: [Option<String>; 9] = [
        row.text_1, row.text_2, row.text_3, row.text_4, row.text_5, row.text_6, row.text_7,
        row.text_8, row.text_9,
    ];
    let _: [Option<Vec<String>>; 2] = [row.texts_1, row.texts_2];
    let _: [Option<Decimal>; 3] = [row.amount_1, row.amount_2, row.amount_3];
    let _: [Option<DateTime<Utc>>; 3] = [row.at_1, row.at_2, row.at_3];
    let _: (Option<Value>, Option<Uuid>, Option<bool>, Option<i64>) =
        (row.json, row.uuid, row.flag, row.big);
    let _: Option<Vec<i32>> = row.ints;
    Ok(())
}

fn texts(texts: &[Arc<str>]) -> Vec<&str> {
    texts.iter().map(|text| &**text).collect()
}

fn list<T: Copy>(keys: &IndexSet<T>) -> Vec<T> {
    keys.iter().copied().collect()
}

/// Puts the rows together, and adds what is cached. The clients that were read come first, and their stamps beside.
fn known(rows: Rows, cached: Cached) -> Option<(Known, Vec<Arc<str>>)> {
    let Rows {
        now,
        mut orders,
        mut items,
        mut clients,
        mut addresses,
        mut prices,
        ..
    } = rows;

    let order_index: HashMap<i32, usize> = index(orders.iter().map(|order| order.number));
    items.sort_unstable_by_key(|(order, position, _)| (*order, *position));
    let items = items.into_iter().map(|(order, _, item)| (order, item));
    for (order, items) in grouped(items) {
        orders[*order_index.get(&order)?].items = items.into();
    }
    // A client that was found in two ways came twice, and so did what it has.
    clients.sort_unstable_by_key(|(_, client)| client.number);
    clients.dedup_by_key(|(_, client)| client.number);
    let client_index = index(clients.iter().map(|(_, client)| client.number));
    addresses.sort_unstable_by_key(|(client, address)| (*client, address.number));
    addresses.dedup_by_key(|(_, address)| address.number);
    for (client, addresses) in grouped(addresses.into_iter()) {
        clients[*client_index.get(&client)?].1.addresses = addresses.into();
    }
    prices.sort_unstable_by_key(|(client, price)| (*client, price.product_number));
    prices.dedup_by_key(|(client, price)| (*client, price.product_number));
    for (client, prices) in grouped(prices.into_iter()) {
        clients[*client_index.get(&client)?].1.prices = prices.into();
    }

    let (stamps, mut clients): (Vec<_>, Vec<_>) = clients
        .into_iter()
        .map(|(stamp, client)| (stamp, Arc::new(client)))
        .unzip();
    let mut from_cache = cached.clients;
    for seen in rows.cached {
        // Found in two ways, and cached in one or both.
        if !client_index.contains_key(&seen.0)
            && let Some(client) = from_cache.remove(&seen)
        {
            clients.push(client);
        }
    }
    let known = Known {
        now: now?,
        orders: orders.into_iter().map(Arc::new).collect(),
        order_numbers: rows.order_numbers,
        clients,
        address_numbers: rows.address_numbers,
        products: match cached.products {
            Some(products) => products,
            None => rows.products,
        },
    };
    Some((known, stamps))
}

fn index(numbers: impl Iterator<Item = i32>) -> HashMap<i32, usize> {
    numbers.zip(0..).collect()
}

/// What belongs together, of what comes in order.
fn grouped<T>(rows: impl Iterator<Item = (i32, T)>) -> Vec<(i32, Vec<T>)> {
    let mut groups: Vec<(i32, Vec<T>)> = Vec::new();
    for (whose, row) in rows {
        match groups.last_mut() {
            Some((last, group)) if *last == whose => group.push(row),
            _ => groups.push((whose, vec![row])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_wanted_is_left_out_and_every_comment() {
        let parts = |wanted| {
            [
                "client numbers",
                "guests' phones",
                "orders' clients",
                "products",
                "order numbers",
                "address numbers",
            ]
            .map(|name| (name, wanted))
        };
        let (all, none) = (with_parts(&parts(true)), with_parts(&parts(false)));
        assert!(!all.contains("--") && !none.contains("--"));
        for unnested in [
            "$5::int[]",
            "$6::text[]",
            "$7::text[]",
            "$3::int[]",
            "$8::int[]",
            "o.client_number OFFSET 0",
        ] {
            assert!(all.contains(unnested), "{unnested} in {all}");
            assert!(!none.contains(unnested), "{unnested} in {none}");
        }
        for unnested in ["$2::text[]", "$4::text[]"] {
            assert!(none.contains(unnested), "{unnested} in {none}");
        }
        let lines = READ
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"));
        assert_eq!(all.lines().collect::<Vec<_>>(), lines.collect::<Vec<_>>());
        let marks = READ
            .lines()
            .filter(|line| line.trim_start().starts_with("-- part "));
        assert_eq!(marks.count(), PARTS);
    }
}
