//! What is stored + what files say -> what to write, and every line that clashes with what is stored.
//!
//! Who is who follows the orders' rules (contract §4) with one difference: an operator is there to be asked, so
//! nothing is guessed. A clash refuses the record.

mod clients;
mod orders;
mod products;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque, hash_map::Entry};

use super::{Counts, Problem, Subject, Text, Totals, entry::Entries};
use crate::order::{
    fault::{FaultCode, Hint},
    model::{Address, Client, ClientPrice, Status},
};

/// What to read before deciding.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Numbers of districts, also those that addresses lie in.
    pub districts: BTreeSet<i32>,
    pub products: BTreeSet<i32>,
    pub product_ids: BTreeSet<String>,
    pub clients: BTreeSet<i32>,
    pub client_ids: BTreeSet<String>,
    pub addresses: BTreeSet<i32>,
    pub orders: BTreeSet<i32>,
    pub order_ids: BTreeSet<String>,
}

impl Keys {
    #[must_use]
    pub fn of(entries: &Entries) -> Self {
        let mut keys = Self::default();
        for district in &entries.districts {
            keys.districts.extend(district.number);
        }
        for product in &entries.products {
            keys.products.extend(product.number);
            keys.product_ids.extend(product.sender_ids.iter().cloned());
        }
        for client in &entries.clients {
            keys.clients.extend(client.number);
            keys.client_ids.extend(client.sender_id.clone());
            for address in &client.addresses {
                keys.addresses.extend(address.number);
                keys.districts.extend(address.district.value());
            }
            keys.products
                .extend(client.prices.iter().map(|price| price.product));
        }
        for order in &entries.orders {
            keys.orders.extend(order.number);
            keys.order_ids.extend(order.sender_id.clone());
        }
        keys
    }
}

/// What was imported of an order that may come in later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedOrder {
    pub sender_id: String,
    /// The number that it takes when it comes.
    pub number: i32,
    /// The status that it does not fall behind then.
    pub status: Status,
    pub receiver_number: Option<String>,
    pub receiver_uid: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub number: i32,
    pub name: String,
    pub active: bool,
}

/// What is stored under those keys.
#[derive(Debug, Default)]
pub struct Stored {
    /// Districts' names by number.
    pub districts: HashMap<i32, String>,
    /// Products by number, also those that the sender's ids mean.
    pub products: HashMap<i32, Product>,
    pub product_ids: HashMap<String, i32>,
    /// Clients found by number or id, with their addresses and prices.
    pub clients: HashMap<i32, Client>,
    pub addresses: HashMap<i32, i32>,
    /// Orders that were imported, by the sender's id.
    pub imported: HashMap<String, ImportedOrder>,
    /// Number and status of orders that came in, by the sender's id.
    pub orders: HashMap<String, (i32, Status)>,
    /// Whose each number of an order is: the sender's id, whether it was imported or came in.
    pub order_numbers: HashMap<i32, String>,
}

/// Free numbers at hand, in the order in which they are given.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FreeNumbers {
    pub product: VecDeque<i32>,
    pub client: VecDeque<i32>,
    pub address: VecDeque<i32>,
}

/// How many numbers were missing: get more, decide again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    pub product: usize,
    pub client: usize,
    pub address: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Put<T> {
    pub is_new: bool,
    pub row: T,
}

/// Rows to write, each list in the order of its keys.
#[derive(Debug, Default)]
pub struct Changes {
    /// Number and name.
    pub districts: Vec<Put<(i32, String)>>,
    pub products: Vec<Put<Product>>,
    /// A sender's id and the number of the product that it is to mean.
    pub product_ids: Vec<Put<(String, i32)>>,
    /// Clients; a stored one also when only an address or a price of it changes, for the sake of its version.
    pub clients: Vec<Put<Client>>,
    /// New clients under numbers that the file gave: the receiver knows them by these.
    pub numbered_clients: HashSet<i32>,
    /// Number of the client and address.
    pub addresses: Vec<Put<(i32, Address)>>,
    /// Number of the client and price.
    pub prices: Vec<Put<(i32, ClientPrice)>>,
    pub orders: Vec<Put<ImportedOrder>>,
}

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.districts.is_empty()
            && self.products.is_empty()
            && self.product_ids.is_empty()
            && self.clients.is_empty()
            && self.orders.is_empty()
    }
}

/// What is to be written and said.
#[derive(Debug, Default)]
pub struct Decision {
    pub changes: Changes,
    pub totals: Totals,
    /// Bad lines, those of the entries included, in the files' order.
    pub problems: Vec<Problem>,
    /// What an operator should know although it was taken.
    pub notes: Vec<Text>,
    /// Where this is not nothing, the numbers in `changes` are stand-ins.
    pub shortage: Shortage,
}

/// Decides on entries. What was taken of `free` stays taken.
#[must_use]
pub fn decide(stored: &Stored, entries: &Entries, free: &mut FreeNumbers) -> Decision {
    let mut picture = Picture {
        stored,
        free,
        districts: stored.districts.keys().copied().collect(),
        products: stored.products.keys().copied().collect(),
        client_ids: stored
            .clients
            .values()
            .filter_map(|client| Some((client.sender_id.as_deref()?, client.number)))
            .collect(),
        taken: HashMap::new(),
        named_products: entries.products.iter().filter_map(|p| p.number).collect(),
        named_clients: entries.clients.iter().filter_map(|c| c.number).collect(),
        named_addresses: entries
            .clients
            .iter()
            .flat_map(|client| &client.addresses)
            .filter_map(|address| address.number)
            .collect(),
        out: Decision {
            totals: entries.totals,
            problems: entries.problems.clone(),
            ..Decision::default()
        },
    };
    picture.each(Subject::Districts, &entries.districts, Picture::district);
    picture.each(Subject::Products, &entries.products, Picture::product);
    picture.each(Subject::Clients, &entries.clients, Picture::client);
    picture.each(Subject::Orders, &entries.orders, Picture::order);
    let mut out = picture.out;
    out.problems
        .sort_by_key(|problem| (problem.subject as u8, problem.line));
    let changes = &mut out.changes;
    changes.orders.sort_by_key(|put| put.row.number);
    changes.districts.sort_by_key(|put| put.row.0);
    changes.products.sort_by_key(|put| put.row.number);
    changes.product_ids.sort_by(|a, b| a.row.cmp(&b.row));
    changes.clients.sort_by_key(|put| put.row.number);
    changes.addresses.sort_by_key(|put| put.row.1.number);
    changes
        .prices
        .sort_by_key(|put| (put.row.0, put.row.1.product_number));
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Of {
    Product,
    Client,
    Address,
}

struct Picture<'a> {
    stored: &'a Stored,
    free: &'a mut FreeNumbers,
    /// Districts that are there, or will be.
    districts: BTreeSet<i32>,
    /// Products that are there, or will be.
    products: BTreeSet<i32>,
    client_ids: HashMap<&'a str, i32>,
    /// Which line set which record already.
    taken: HashMap<(Of, i32), usize>,
    /// Numbers that the files bring along: they are given to nobody else.
    named_products: BTreeSet<i32>,
    named_clients: BTreeSet<i32>,
    named_addresses: BTreeSet<i32>,
    out: Decision,
}

fn next_number(free: &mut VecDeque<i32>, named: &BTreeSet<i32>, short: &mut usize) -> i32 {
    while let Some(number) = free.pop_front() {
        if !named.contains(&number) {
            return number;
        }
    }
    *short += 1;
    // Stands in until it is decided again with enough numbers; below zero it can clash with nothing.
    -i32::try_from(*short).unwrap_or(i32::MAX)
}

impl Picture<'_> {
    /// Decides on each entry, and counts those with a problem as refused.
    fn each<E>(&mut self, subject: Subject, entries: &[E], decide: impl Fn(&mut Self, &E)) {
        for entry in entries {
            let before = self.out.problems.len();
            decide(self, entry);
            if self.out.problems.len() > before {
                self.out.totals.of(subject).refused += 1;
            }
        }
    }

    fn problem(&mut self, subject: Subject, line: usize, column: &str, reason: Text) {
        self.out.problems.push(Problem {
            subject,
            line,
            column: column.to_owned(),
            reason,
        });
    }

    fn required(&mut self, subject: Subject, line: usize, column: &str) {
        let column = column.to_owned();
        self.out.problems.push(Problem::of(
            subject,
            line,
            column,
            FaultCode::Required,
            Hint::None,
        ));
    }

    /// Notes which line sets the record; says whether no other did before.
    fn take(&mut self, subject: Subject, of: Of, number: i32, line: usize) -> bool {
        let first = match self.taken.entry((of, number)) {
            Entry::Vacant(vacant) => {
                vacant.insert(line);
                return true;
            }
            Entry::Occupied(first) => *first.get(),
        };
        let (ru, en) = match of {
            Of::Product => ("товар", "product"),
            Of::Client => ("клиент", "client"),
            Of::Address => ("адрес", "address"),
        };
        let reason = Text::new(
            format!("{ru} {number} уже задан строкой {first}"),
            format!("sets {en} {number}, as line {first} does"),
        );
        self.problem(subject, line, "", reason);
        false
    }
}

fn tally(counts: &mut Counts, is_new: bool) {
    if is_new {
        counts.new += 1;
    } else {
        counts.changed += 1;
    }
}
