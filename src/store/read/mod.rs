//! The reading statement of a batch, and the way from its rows to records.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use indexmap::IndexSet;
use sqlx::{
    Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use self::{
    row::{BIG, FLAG, INT, INTS, KIND, MOMENT, Read, Row, TEXTS, corrupt},
    statement::{Orders, statement},
};
use super::{
    Error, Store,
    client_cache::{Cached, Stamps, Version},
    location::Location,
};
use crate::{
    order::{
        known::{Keys, Known},
        model::{Address, Client, ClientPrice, Order, OrderItem, Status},
    },
    threads::block_if_many,
};

mod row;
mod statement;

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
    /// Whether orders were imported, and those that the batch names.
    has_imported: bool,
    imported: HashMap<String, (i32, Status)>,
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
                self.has_imported = row.maybe(FLAG)?.unwrap_or_default();
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
            9 => self.imported.extend([row.imported()?]),
            _ => return Err(corrupt("a kind of row")),
        }
        self.bytes += ROW_BYTES;
        Ok(())
    }
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
        let mut orders = Orders {
            with_clients: keys.orders_clients,
            with_imported: self.imported.read().contains(publication),
        };
        let mut has_moved = false;
        let rows = loop {
            let read = self.rows(publication, keys, &cached, orders, most_bytes);
            let rows = match read.await {
                // Its shard is elsewhere now. Whoever writes upon this will be told to read again.
                Err(Error::HistoryChanged) if !has_moved => {
                    has_moved = true;
                    continue;
                }
                read => read?,
            };
            if cached.holds_for != Some(rows.version) && !cached.is_empty() {
                cached = Cached::nothing(keys);
            } else if !orders.with_clients && rows.lack_a_client() {
                orders.with_clients = true;
            } else if rows.has_imported && !orders.with_imported {
                self.imported.write().insert(publication.to_owned());
                orders.with_imported = true;
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

    /// Reads for a batch of nothing, by a connection that batches do not use: whether it could be done.
    pub(super) async fn try_reading(&self, publication: &str) -> Result<(), Error> {
        let location = self.locate(publication).await?;
        let keys = Keys::default();
        let cached = Cached::nothing(&keys);
        let everything = Orders {
            with_clients: true,
            with_imported: true,
        };
        let read = bound(&location, publication, &keys, &cached, everything);
        let read = self.in_time(read.fetch_one(location.pool())).await;
        let read = read.map(drop).map_err(Error::Unavailable);
        self.found(publication, read)
    }

    async fn rows(
        &self,
        publication: &str,
        keys: &Keys<'_>,
        cached: &Cached,
        orders: Orders,
        most_bytes: usize,
    ) -> Result<Rows, Error> {
        let location = self.locate(publication).await?;
        let mut connection = location.connection().await?;
        let mut rows = Rows::default();
        // Each row is taken apart as it comes, while PostgreSQL makes the next.
        let read = bound(&location, publication, keys, cached, orders)
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
        self.found(publication, connection.done(read))?;
        Ok(rows)
    }
}

/// The reading statement with what is bound to it.
fn bound<'q>(
    location: &Location,
    publication: &'q str,
    keys: &Keys<'q>,
    cached: &'q Cached,
    orders: Orders,
) -> Query<'q, Postgres, PgArguments> {
    let Stamps {
        ids,
        numbers,
        guest_phones,
    } = &cached.stamps;
    sqlx::query(location.text(statement(keys, cached, orders)))
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
        imports: rows.has_imported.then_some(rows.version.catalogue),
        imported: rows.imported,
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
