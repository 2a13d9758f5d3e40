//! The reading statement of a batch, and the way from its rows to records.

use std::{
    array,
    collections::{BTreeSet, HashMap, HashSet},
    marker::PhantomData,
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
        content::OrderContent,
        known::{Keys, Known},
        model::{
            Address, AddressContent, BankAccount, Client, ClientPrice, ClientType, Order,
            OrderItem, Status,
        },
    },
    threads::block_if_many,
};

/// A column of `read.sql`, or the first of those of its type, and what it is read as.
struct Column<T> {
    index: usize,
    read_as: PhantomData<T>,
}

// Derived, they would ask the same of `T`.
impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Column<T> {}

impl<T> Column<T> {
    const fn first(index: usize) -> Self {
        Self {
            index,
            read_as: PhantomData,
        }
    }

    /// This one and those behind it, to be named by what they hold in a row of some kind.
    fn all<const N: usize>(self) -> [Self; N] {
        array::from_fn(|n| Self::first(self.index + n))
    }
}

const KIND: Column<i16> = Column::first(0);
const INT: Column<i32> = Column::first(1);
const TEXT: Column<String> = Column::first(6);
const TEXTS: Column<Vec<String>> = Column::first(15);
const AMOUNT: Column<Decimal> = Column::first(17);
const MOMENT: Column<DateTime<Utc>> = Column::first(20);
const JSON: Column<Value> = Column::first(23);
const UUID: Column<Uuid> = Column::first(24);
const FLAG: Column<bool> = Column::first(25);
const BIG: Column<i64> = Column::first(26);
const INTS: Column<Vec<i32>> = Column::first(27);

/// A row of `read.sql`, of whichever kind; the ways out of it say what its columns mean. Only the columns that a kind
/// has are looked at: sqlx's own way from a row takes all of them apart, which took as long as PostgreSQL's work.
struct Row(PgRow);

type Read<T> = Result<T, sqlx::Error>;

/// Something stored that is not of our making.
fn corrupt(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

impl Row {
    fn get<'r, T: Decode<'r, Postgres>>(&'r self, column: Column<T>) -> Read<T> {
        // read.sql's columns are checked when we compile, by [`checked`].
        self.0.try_get_unchecked(column.index)
    }

    fn maybe<'r, T: Decode<'r, Postgres>>(&'r self, column: Column<T>) -> Read<Option<T>> {
        self.0.try_get_unchecked(column.index)
    }

    /// A text that is not kept as it is.
    fn str(&self, column: Column<String>) -> Read<&str> {
        self.0.try_get_unchecked(column.index)
    }

    fn json<T: DeserializeOwned + 'static>(&self) -> Read<Option<T>> {
        let json: Option<Json<T>> = self.0.try_get_unchecked(JSON.index)?;
        Ok(json.map(|Json(value)| value))
    }

    fn order(&self) -> Read<Order> {
        let [
            number,
            version,
            client_number,
            address_number,
            count_of_returned_bottles,
        ] = INT.all();
        let [sender_id, status, payment_type, comment, shipping_address] = TEXT.all();
        let [total, delivery_cost, coins] = AMOUNT.all();
        let [created_at, shipping_date_from, shipping_date_to] = MOMENT.all();
        Ok(Order {
            number: self.get(number)?,
            version: self.get(version)?,
            client_number: self.get(client_number)?,
            address_number: self.maybe(address_number)?,
            shipping_address: serde_json::from_str(self.str(shipping_address)?)
                .map_err(|_| corrupt("an order's own address"))?,
            sender_id: self.get(sender_id)?,
            status: Status::parse(self.str(status)?).ok_or_else(|| corrupt("a status"))?,
            total: self.get(total)?,
            created_at: self.get(created_at)?,
            shipping_date_from: self.get(shipping_date_from)?,
            shipping_date_to: self.get(shipping_date_to)?,
            uuid: self.get(UUID)?,
            content: OrderContent {
                delivery_cost: self.maybe(delivery_cost)?,
                coins: self.maybe(coins)?,
                payment_type: self.maybe(payment_type)?,
                payment_status: self.get(FLAG)?,
                comment: self.maybe(comment)?,
                count_of_returned_bottles: self.get(count_of_returned_bottles)?,
                ask_for_checkout: self.json()?,
            },
            items: Vec::new().into(),
        })
    }

    /// (order's number, position, item)
    fn item(&self) -> Read<(i32, i32, OrderItem)> {
        let [
            order_number,
            position,
            external_id,
            product_number,
            quantity,
        ] = INT.all();
        let [product_id, sender_id, name] = TEXT.all();
        let item = OrderItem {
            external_id: self.maybe(external_id)?,
            product_number: self.maybe(product_number)?,
            quantity: self.get(quantity)?,
            product_id: self.get(product_id)?,
            sender_id: self.maybe(sender_id)?,
            name: self.maybe(name)?,
            price: self.get(AMOUNT)?,
            order_product_id: self.maybe(BIG)?,
        };
        Ok((self.get(order_number)?, self.get(position)?, item))
    }

    /// (stamp, client)
    fn client(&self) -> Read<(Arc<str>, Client)> {
        let [number, version] = INT.all();
        let [
            sender_id,
            guest_phone,
            username,
            phone,
            email,
            comment,
            kind,
            stamp,
        ] = TEXT.all();
        let [phones, legal_address] = TEXTS.all();
        let client = Client {
            number: self.get(number)?,
            version: self.get(version)?,
            sender_id: self.maybe(sender_id)?,
            guest_phone: self.maybe(guest_phone)?,
            username: self.get(username)?,
            phone: self.maybe(phone)?,
            email: self.maybe(email)?,
            comment: self.maybe(comment)?,
            kind: ClientType::parse(self.str(kind)?).ok_or_else(|| corrupt("a client's type"))?,
            phones: self.get(phones)?,
            legal_address: self.get(legal_address)?,
            coins_amount: self.get(AMOUNT)?,
            bank_account: self.json::<BankAccount>()?,
            loyalty_system_is_active: self.maybe(FLAG)?,
            account_number: self.maybe(BIG)?,
            addresses: Vec::new().into(),
            prices: Vec::new().into(),
        };
        Ok((self.str(stamp)?.into(), client))
    }

    /// (client's number, address)
    fn address(&self) -> Read<(i32, Address)> {
        let [number, client_number, district_number] = INT.all();
        let [
            sender_id,
            city,
            street,
            house,
            str,
            entrance,
            floor,
            room,
            district_name,
        ] = TEXT.all();
        let content = AddressContent {
            city: self.get(city)?,
            street: self.get(street)?,
            house: self.get(house)?,
            str: self.get(str)?,
            entrance: self.maybe(entrance)?,
            floor: self.maybe(floor)?,
            room: self.maybe(room)?,
        };
        let address = Address {
            number: self.get(number)?,
            district_number: self.maybe(district_number)?,
            sender_id: self.maybe(sender_id)?,
            district_name: self.maybe(district_name)?,
            content,
        };
        Ok((self.get(client_number)?, address))
    }

    /// (client's number, price)
    fn price(&self) -> Read<(i32, ClientPrice)> {
        let [product_number, client_number] = INT.all();
        let price = ClientPrice {
            product_number: self.get(product_number)?,
            external_product_id: self.maybe(TEXT)?,
            price: self.get(AMOUNT)?,
            active: self.get(FLAG)?,
        };
        Ok((self.get(client_number)?, price))
    }

    /// (the sender's id, our number)
    fn product(&self) -> Read<(String, i32)> {
        Ok((self.get(TEXT)?, self.get(INT)?))
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
        match row.get(KIND)? {
            0 => {
                let [now, started_at] = MOMENT.all();
                self.now = Some(row.get(now)?);
                self.version = Version {
                    life: Some(row.get(started_at)?),
                    catalogue: row.get(BIG)?,
                };
                let stamps = row.get(TEXTS)?.into_iter().map(Arc::from);
                self.cached = row.get(INTS)?.into_iter().zip(stamps).collect();
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
            7 => drop(self.order_numbers.insert(row.get(INT)?)),
            8 => drop(self.address_numbers.insert(row.get(INT)?)),
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
