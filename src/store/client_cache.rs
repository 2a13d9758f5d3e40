//! Clients, and products, as they were read last. The same clients order again and again, some with thousands of addresses, and hardly
//! an order changes them.
//!
//! Nothing is believed without a look: each reading tells the database the stamp that a client was read with, and what
//! the database still has under that stamp it does not send (read.sql). A stamp is the row's `xmin`, which any write
//! replaces, one by hand too, and the client is written whenever the service writes an address of it. It means something
//! only where it was read: a server that took over, or was put back to an earlier state, has given the same one to other
//! rows. A server tells by when it was started that it is the same one. What import
//! changes beside clients (districts' names, prices, products' ids) the catalogue's version tells. Of what else somebody changes by hand, past the service, nothing tells; so after a minute all is read
//! anew.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use quick_cache::{
    DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::order::{known::Keys, model::Client};

const LIFETIME: Duration = Duration::from_mins(1);
/// Of a publication no more products than this are kept.
const MOST_PRODUCTS: usize = 10_000;
/// Bytes that a client takes besides its texts and its lists.
const CLIENT_BYTES: usize = 1024;
/// Bytes of an address besides its texts, and of what stands around those in an answer.
const ADDRESS_BYTES: usize = 1024;
/// The same of a price.
const PRICE_BYTES: usize = 256;

/// In which way a client is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way<T> {
    Id(T),
    Number(i32),
    GuestPhone(T),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key<T> {
    publication: T,
    way: Way<T>,
}

impl Key<&str> {
    fn to_owned(&self) -> Key<String> {
        Key {
            publication: self.publication.to_owned(),
            way: match self.way {
                Way::Id(id) => Way::Id(id.to_owned()),
                Way::Number(number) => Way::Number(number),
                Way::GuestPhone(phone) => Way::GuestPhone(phone.to_owned()),
            },
        }
    }
}

impl Equivalent<Key<String>> for Key<&str> {
    fn equivalent(&self, other: &Key<String>) -> bool {
        self.publication == other.publication
            && match (&self.way, &other.way) {
                (Way::Id(one), Way::Id(other)) | (Way::GuestPhone(one), Way::GuestPhone(other)) => {
                    one == other
                }
                (Way::Number(one), Way::Number(other)) => one == other,
                _ => false,
            }
    }
}

/// What all that is cached of a publication holds for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Version {
    /// When the server was started that it was read from.
    pub life: Option<DateTime<Utc>>,
    pub catalogue: i64,
}

/// A client as read, and what tells whether it still is so.
#[derive(Debug, Clone)]
struct Seen {
    client: Arc<Client>,
    stamp: Arc<str>,
    version: Version,
    at: Instant,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key<String>, Seen> for Bytes {
    fn weight(&self, _key: &Key<String>, seen: &Seen) -> u64 {
        seen.bytes as u64
    }
}

/// What a client takes, roughly. An address is there twice: as it is, and as it is answered.
fn bytes(client: &Client) -> usize {
    let addresses = client.addresses.iter();
    let addresses: usize = addresses.map(|a| ADDRESS_BYTES + 2 * a.bytes()).sum();
    CLIENT_BYTES + client.bytes() + addresses + client.prices.len() * PRICE_BYTES
}

#[derive(Debug)]
pub(super) struct ClientCache {
    clients: Option<Cache<Key<String>, Seen, Bytes>>,
    catalogues: Mutex<HashMap<String, Catalogue>>,
}

#[derive(Debug)]
struct Catalogue {
    /// When it was read last.
    version: Version,
    /// Our numbers by the sender's ids, of those that were found.
    products: HashMap<String, i32>,
    /// The first of those products was read then.
    since: Instant,
}

impl Catalogue {
    /// The products of a batch, if all of them are here.
    fn products(&self, keys: &Keys<'_>) -> Option<HashMap<String, i32>> {
        if self.since.elapsed() >= LIFETIME {
            return None;
        }
        let mut found = HashMap::with_capacity(keys.product_ids.len());
        for id in &keys.product_ids {
            // What was not found may have come meanwhile.
            found.insert((*id).to_owned(), *self.products.get(*id)?);
        }
        Some(found)
    }

    /// Keeps what was found of a batch's products.
    fn keep(&mut self, keys: &Keys<'_>, found: &HashMap<String, i32>) {
        let is_full = self.products.len() + found.len() > MOST_PRODUCTS;
        if is_full || self.since.elapsed() >= LIFETIME {
            self.products.clear();
        }
        if self.products.is_empty() {
            self.since = Instant::now();
        }
        for id in keys.product_ids.iter().take(MOST_PRODUCTS) {
            match found.get(*id) {
                Some(number) => self.products.insert((*id).to_owned(), *number),
                None => self.products.remove(*id),
            };
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Cached {
    /// What all of it holds for; with another version it is void.
    pub holds_for: Option<Version>,
    /// The batch's products; `None` when not all of them are known.
    pub products: Option<HashMap<String, i32>>,
    /// The stamps, in the order of the batch's keys; empty where nothing is cached.
    pub stamps: Stamps,
    /// By number and stamp: what was kept in two ways may be of two moments.
    pub clients: HashMap<(i32, Arc<str>), Arc<Client>>,
}

/// A stamp for each key of a batch.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    pub ids: Vec<Arc<str>>,
    pub numbers: Vec<Arc<str>>,
    pub guest_phones: Vec<Arc<str>>,
}

impl Cached {
    /// As if the batch's clients and products were seen for the first time.
    pub(super) fn nothing(keys: &Keys<'_>) -> Self {
        let none = |count| vec![Arc::from(""); count];
        Self {
            stamps: Stamps {
                ids: none(keys.client_ids.len()),
                numbers: none(keys.client_numbers.len()),
                guest_phones: none(keys.guest_phones.len()),
            },
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.products.is_none() && self.clients.is_empty()
    }
}

impl ClientCache {
    /// Holds about so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let options = OptionsBuilder::new()
            // One lock for all is short enough, and a client with many addresses needs the room undivided.
            .shards(1)
            .estimated_items_capacity(bytes / CLIENT_BYTES)
            .weight_capacity(bytes as u64)
            .build();
        let cache = |options| {
            Cache::with_options(
                options,
                Bytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            )
        };
        Self {
            clients: options.ok().filter(|_| bytes > 0).map(cache),
            catalogues: Mutex::default(),
        }
    }

    /// Takes note of the version that a publication's catalogue has.
    fn see(&self, publication: &str, version: Version, keep: impl FnOnce(&mut Catalogue)) {
        let mut catalogues = self.catalogues.lock();
        let new = || Catalogue {
            version,
            products: HashMap::new(),
            since: Instant::now(),
        };
        match catalogues.get_mut(publication) {
            Some(catalogue) => {
                if catalogue.version != version {
                    *catalogue = new();
                }
                keep(catalogue);
            }
            None => keep(catalogues.entry(publication.to_owned()).or_insert_with(new)),
        }
    }

    /// What there is of the clients and products that a batch names.
    pub(super) fn get(&self, publication: &str, keys: &Keys<'_>) -> Cached {
        let Some(clients) = &self.clients else {
            return Cached::nothing(keys);
        };
        let mut cached = Cached::default();
        if let Some(catalogue) = self.catalogues.lock().get(publication) {
            cached.holds_for = Some(catalogue.version);
            cached.products = catalogue.products(keys);
        }
        let nothing: Arc<str> = "".into();
        let mut stamp = |way| {
            let seen = clients.get(&Key { publication, way });
            let is_fresh = |seen: &Seen| {
                cached.holds_for == Some(seen.version) && seen.at.elapsed() < LIFETIME
            };
            let Some(seen) = seen.filter(is_fresh) else {
                return Arc::clone(&nothing);
            };
            let key = (seen.client.number, Arc::clone(&seen.stamp));
            cached.clients.insert(key, seen.client);
            seen.stamp
        };
        cached.stamps = Stamps {
            ids: keys
                .client_ids
                .iter()
                .map(|id| stamp(Way::Id(id)))
                .collect(),
            numbers: keys
                .client_numbers
                .iter()
                .map(|number| stamp(Way::Number(*number)))
                .collect(),
            guest_phones: keys
                .guest_phones
                .iter()
                .map(|phone| stamp(Way::GuestPhone(phone)))
                .collect(),
        };
        cached
    }

    /// Keeps clients as they were just read, with their stamps, in the ways in which they were asked for; and the batch's
    /// products, where they were read.
    pub(super) fn put<'c>(
        &self,
        publication: &str,
        keys: &Keys<'_>,
        version: Version,
        products: Option<&HashMap<String, i32>>,
        clients: impl IntoIterator<Item = (&'c Arc<str>, &'c Arc<Client>)>,
    ) {
        let Some(cache) = &self.clients else {
            return;
        };
        self.see(publication, version, |catalogue| {
            if let Some(products) = products {
                catalogue.keep(keys, products);
            }
        });
        let at = Instant::now();
        for (stamp, client) in clients {
            let seen = Seen {
                client: Arc::clone(client),
                stamp: Arc::clone(stamp),
                version,
                at,
                bytes: bytes(client),
            };
            let ways = [
                client
                    .sender_id
                    .as_ref()
                    .filter(|id| keys.client_ids.contains(id.as_str()))
                    .map(|id| Way::Id(id.as_str())),
                Some(client.number)
                    .filter(|number| keys.client_numbers.contains(number))
                    .map(Way::Number),
                client
                    .guest_phone
                    .as_ref()
                    .filter(|phone| keys.guest_phones.contains(phone.as_str()))
                    .map(|phone| Way::GuestPhone(phone.as_str())),
            ];
            for way in ways.into_iter().flatten() {
                cache.insert(Key { publication, way }.to_owned(), seen.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::model::{Address, AddressContent, ClientType};

    fn client(text: &str) -> Client {
        let owned = || text.to_owned();
        let address = |number| Address {
            number,
            sender_id: Some(owned()),
            district_number: None,
            district_name: Some(owned()),
            content: AddressContent {
                city: owned(),
                street: owned(),
                house: owned(),
                str: owned(),
                entrance: Some(owned()),
                floor: Some(owned()),
                room: Some(owned()),
            },
        };
        Client {
            number: 1,
            version: 1,
            sender_id: Some(owned()),
            guest_phone: None,
            username: owned(),
            phone: Some(owned()),
            phones: vec![owned()],
            email: Some(owned()),
            comment: Some(owned()),
            account_number: None,
            kind: ClientType::Fiz,
            bank_account: None,
            legal_address: vec![owned()],
            coins_amount: 0.into(),
            loyalty_system_is_active: None,
            addresses: (0..3).map(address).collect(),
            prices: Vec::new().into(),
        }
    }

    #[test]
    fn a_client_is_as_heavy_as_its_texts_and_its_addresses_count_twice() {
        let (short, long) = (client(""), client(&"x".repeat(1000)));
        assert_eq!(bytes(&long) - bytes(&short), 1000 * (7 + 2 * 3 * 9));
    }
}
