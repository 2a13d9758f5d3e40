//! What is stored + what files say -> what to write, and every line that clashes with what is stored.
//!
//! Who is who follows the orders' rules (contract §4) with one difference: an operator is there to be asked, so
//! nothing is guessed. A clash refuses the record.

use std::collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry};

use rust_decimal::Decimal;

use super::{
    Counts, Kind, Problem, Totals,
    entry::{self, Entries},
};
use crate::order::{
    fault::{FaultCode, Hint},
    model::{Address, BankAccount, Client, ClientPrice, ClientType, Status},
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
    pub notes: Vec<String>,
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
    for district in &entries.districts {
        let before = picture.out.problems.len();
        picture.district(district);
        picture.count_refused(Kind::Districts, before);
    }
    for product in &entries.products {
        let before = picture.out.problems.len();
        picture.product(product);
        picture.count_refused(Kind::Products, before);
    }
    for client in &entries.clients {
        let before = picture.out.problems.len();
        picture.client(client);
        picture.count_refused(Kind::Clients, before);
    }
    for order in &entries.orders {
        let before = picture.out.problems.len();
        picture.order(order);
        picture.count_refused(Kind::Orders, before);
    }
    let mut out = picture.out;
    out.problems
        .sort_by_key(|problem| (problem.kind as u8, problem.line));
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
    fn count_refused(&mut self, kind: Kind, before: usize) {
        if self.out.problems.len() > before {
            self.out.totals.of(kind).refused += 1;
        }
    }

    fn problem(&mut self, kind: Kind, line: usize, column: &str, reason: String) {
        self.out.problems.push(Problem {
            kind,
            line,
            column: column.to_owned(),
            reason,
        });
    }

    fn required(&mut self, kind: Kind, line: usize, column: &str) {
        let column = column.to_owned();
        self.out.problems.push(Problem::of(
            kind,
            line,
            column,
            FaultCode::Required,
            Hint::None,
        ));
    }

    /// Notes which line sets the record; says whether no other did before.
    fn take(&mut self, kind: Kind, of: Of, number: i32, line: usize) -> bool {
        let first = match self.taken.entry((of, number)) {
            Entry::Vacant(vacant) => {
                vacant.insert(line);
                return true;
            }
            Entry::Occupied(first) => *first.get(),
        };
        let what = match of {
            Of::Product => "product",
            Of::Client => "client",
            Of::Address => "address",
        };
        let reason = format!("sets {what} {number}, as line {first} does");
        self.problem(kind, line, "", reason);
        false
    }

    fn district(&mut self, entry: &entry::District) {
        let Some(number) = entry.number else { return };
        let counts = &mut self.out.totals.districts;
        match (self.stored.districts.get(&number), &entry.name) {
            (None, None) => return self.required(Kind::Districts, entry.line, "name"),
            (before, Some(name)) if before != Some(name) => {
                tally(counts, before.is_none());
                self.out.changes.districts.push(Put {
                    is_new: before.is_none(),
                    row: (number, name.clone()),
                });
            }
            _ => counts.unchanged += 1,
        }
        self.districts.insert(number);
    }

    fn product(&mut self, entry: &entry::Product) {
        let kind = Kind::Products;
        let meant: BTreeSet<i32> = entry
            .sender_ids
            .iter()
            .filter_map(|id| self.stored.product_ids.get(id).copied())
            .collect();
        let number = match (entry.number, meant.first()) {
            (Some(number), _) => Some(number),
            (None, Some(first)) => {
                if let Some(other) = meant.iter().nth(1) {
                    let reason =
                        format!("means product {first} and product {other}: give the number");
                    return self.problem(kind, entry.line, "sender_ids", reason);
                }
                Some(*first)
            }
            (None, None) => None,
        };
        let before = number.and_then(|number| self.stored.products.get(&number));
        if before.is_none() && entry.name.is_none() {
            return self.required(kind, entry.line, "name");
        }
        let number = number.unwrap_or_else(|| {
            next_number(
                &mut self.free.product,
                &self.named_products,
                &mut self.out.shortage.product,
            )
        });
        if !self.take(kind, Of::Product, number, entry.line) {
            return;
        }
        let mut after = before.cloned().unwrap_or_else(|| Product {
            number,
            name: String::new(),
            active: true,
        });
        if let Some(name) = &entry.name {
            after.name.clone_from(name);
        }
        entry.active.apply_or(&mut after.active, true);

        let mut changed = before != Some(&after);
        if changed {
            self.out.changes.products.push(Put {
                is_new: before.is_none(),
                row: after,
            });
        }
        for id in &entry.sender_ids {
            let now = self.stored.product_ids.get(id);
            if now == Some(&number) {
                continue;
            }
            if let Some(now) = now {
                let note = format!(
                    "line {}: sender id {id} meant product {now} and now means product {}",
                    entry.line,
                    if number > 0 {
                        number.to_string()
                    } else {
                        "(new)".to_owned()
                    },
                );
                self.out.notes.push(note);
            }
            changed = true;
            self.out.changes.product_ids.push(Put {
                is_new: now.is_none(),
                row: (id.clone(), number),
            });
        }
        let counts = &mut self.out.totals.products;
        if changed {
            tally(counts, before.is_none());
        } else {
            counts.unchanged += 1;
        }
        self.products.insert(number);
    }

    fn client(&mut self, entry: &entry::Client) {
        let kind = Kind::Clients;
        let by_number = entry.number.and_then(|n| self.stored.clients.get(&n));
        let by_id = entry.sender_id.as_ref().and_then(|id| {
            let number = self.client_ids.get(id.as_str())?;
            self.stored.clients.get(number)
        });
        if let (Some(number), Some(by_id)) = (entry.number, by_id)
            && by_id.number != number
        {
            let reason = format!("belongs to client {}", by_id.number);
            return self.problem(kind, entry.line, "sender_id", reason);
        }
        let before = by_number.or(by_id);
        if let (Some(client), Some(id)) = (before, &entry.sender_id)
            && client.sender_id.as_ref().is_some_and(|stored| stored != id)
        {
            let reason = format!("client {} has another sender id", client.number);
            return self.problem(kind, entry.line, "sender_id", reason);
        }
        if before.is_none() && entry.username.is_none() {
            return self.required(kind, entry.line, "username");
        }
        let number = before.map(|client| client.number).or(entry.number);
        let number = number.unwrap_or_else(|| {
            next_number(
                &mut self.free.client,
                &self.named_clients,
                &mut self.out.shortage.client,
            )
        });
        if !self.take(kind, Of::Client, number, entry.line) {
            return;
        }

        let problems = self.out.problems.len();
        let mut after = before.cloned().unwrap_or_else(|| Client::new(number));
        apply(entry, &mut after);
        for address in &entry.addresses {
            self.address(address, &mut after);
        }
        let mut seen: HashMap<i32, &entry::Price> = HashMap::new();
        for price in &entry.prices {
            match seen.entry(price.product) {
                Entry::Vacant(vacant) => {
                    vacant.insert(price);
                    self.price(price, &mut after);
                }
                // As a join of addresses and prices repeats it.
                Entry::Occupied(first)
                    if (first.get().price, &first.get().active) == (price.price, &price.active) => {
                }
                Entry::Occupied(first) => {
                    let reason = format!(
                        "sets the price of product {} otherwise than line {}",
                        price.product,
                        first.get().line
                    );
                    self.problem(kind, price.line, "prices.price", reason);
                }
            }
        }
        if self.out.problems.len() > problems {
            return;
        }
        if before == Some(&after) {
            self.out.totals.clients.unchanged += 1;
            return;
        }
        tally(&mut self.out.totals.clients, before.is_none());
        let changes = &mut self.out.changes;
        for address in &after.addresses {
            let stored = before
                .and_then(|client| client.addresses.iter().find(|a| a.number == address.number));
            if stored != Some(address) {
                changes.addresses.push(Put {
                    is_new: stored.is_none(),
                    row: (number, address.clone()),
                });
            }
        }
        for price in &after.prices {
            let stored = before.and_then(|client| {
                let same = |p: &&ClientPrice| p.product_number == price.product_number;
                client.prices.iter().find(same)
            });
            if stored != Some(price) {
                changes.prices.push(Put {
                    is_new: stored.is_none(),
                    row: (number, price.clone()),
                });
            }
        }
        changes.clients.push(Put {
            is_new: before.is_none(),
            row: after,
        });
    }

    fn order(&mut self, entry: &entry::Order) {
        let kind = Kind::Orders;
        let Some(id) = &entry.sender_id else { return };
        let before = self.stored.imported.get(id);
        let here = self.stored.orders.get(id);
        let number = entry.number.or(before.map(|order| order.number));
        let number = number.or(here.map(|(number, _)| *number));
        let status = entry.status.or(before.map(|order| order.status));
        let (Some(number), Some(status)) = (number, status) else {
            for (column, is_missing) in [("number", number.is_none()), ("status", status.is_none())]
            {
                if is_missing {
                    self.required(kind, entry.line, column);
                }
            }
            return;
        };
        if let Some((theirs, _)) = here
            && *theirs != number
        {
            let reason = format!("the order came in, and has the number {theirs}");
            return self.problem(kind, entry.line, "number", reason);
        }
        if let Some(other) = self.stored.order_numbers.get(&number)
            && other != id
        {
            let reason = format!("belongs to the order with the sender's id {other}");
            return self.problem(kind, entry.line, "number", reason);
        }
        if let Some((_, now)) = here
            && *now != status
            && now.may_become(status)
        {
            self.out.notes.push(format!(
                "line {}: order {number} ({id}) came in and is {}, and stays so: move it on to {} with results or `order set-status`",
                entry.line,
                now.as_str(),
                status.as_str(),
            ));
        }
        let mut after = before.cloned().unwrap_or_else(|| ImportedOrder {
            sender_id: id.clone(),
            number,
            status,
            receiver_number: None,
            receiver_uid: None,
        });
        (after.number, after.status) = (number, status);
        entry.receiver_number.apply(&mut after.receiver_number);
        entry.receiver_uid.apply(&mut after.receiver_uid);
        let counts = &mut self.out.totals.orders;
        if before == Some(&after) {
            counts.unchanged += 1;
            return;
        }
        tally(counts, before.is_none());
        self.out.changes.orders.push(Put {
            is_new: before.is_none(),
            row: after,
        });
    }

    fn address(&mut self, entry: &entry::Address, client: &mut Client) {
        let kind = Kind::Clients;
        let line = entry.line;
        if let Some(number) = entry.number
            && let Some(owner) = self.stored.addresses.get(&number)
            && *owner != client.number
        {
            let reason = format!("address {number} belongs to client {owner}");
            return self.problem(kind, line, "addresses.number", reason);
        }
        let by_number = entry
            .number
            .and_then(|number| client.addresses.iter().position(|a| a.number == number));
        let by_id = entry.sender_id.as_ref().and_then(|id| {
            let has = |a: &Address| a.sender_id.as_ref() == Some(id);
            client.addresses.iter().position(has)
        });
        if let (Some(_), Some(by_id)) = (entry.number, by_id)
            && by_number != Some(by_id)
        {
            let reason = format!("belongs to address {}", client.addresses[by_id].number);
            return self.problem(kind, line, "addresses.sender_id", reason);
        }
        if let (Some(index), Some(id)) = (by_number, &entry.sender_id)
            && let Some(stored) = &client.addresses[index].sender_id
            && stored != id
        {
            let number = client.addresses[index].number;
            let reason = format!("address {number} has another sender id");
            return self.problem(kind, line, "addresses.sender_id", reason);
        }
        if let Some(district) = entry.district.value()
            && !self.districts.contains(district)
        {
            let reason = format!("there is no district {district}: import districts first");
            self.problem(kind, line, "addresses.district", reason);
        }
        let content = entry.content();
        let found = by_number.or(by_id).or_else(|| {
            let (None, None, Ok(content)) = (entry.number, &entry.sender_id, &content) else {
                return None;
            };
            client.addresses.iter().position(|a| a.content == *content)
        });
        let index = match (found, content) {
            (Some(index), _) => index,
            (None, Err(missing)) => {
                for column in missing {
                    self.required(kind, line, &format!("addresses.{column}"));
                }
                return;
            }
            (None, Ok(content)) => {
                let number = entry.number.unwrap_or_else(|| {
                    next_number(
                        &mut self.free.address,
                        &self.named_addresses,
                        &mut self.out.shortage.address,
                    )
                });
                client.addresses.push(Address {
                    number,
                    sender_id: None,
                    content,
                    district_number: None,
                    district_name: None,
                });
                client.addresses.len() - 1
            }
        };
        let address = &mut client.addresses[index];
        let untouched = address.clone();
        entry.apply(&mut address.content);
        entry.district.apply(&mut address.district_number);
        if entry.sender_id.is_some() {
            address.sender_id.clone_from(&entry.sender_id);
        }
        // A join of a client's addresses with its prices repeats every address: that is no clash.
        let number = address.number;
        if *address != untouched || !self.taken.contains_key(&(Of::Address, number)) {
            self.take(kind, Of::Address, number, line);
        }
    }

    fn price(&mut self, entry: &entry::Price, client: &mut Client) {
        let kind = Kind::Clients;
        if !self.products.contains(&entry.product) {
            let reason = format!(
                "there is no product {}: import products first",
                entry.product
            );
            return self.problem(kind, entry.line, "prices.product", reason);
        }
        let index = client
            .prices
            .iter()
            .position(|price| price.product_number == entry.product);
        let index = index.unwrap_or_else(|| {
            client.prices.push(ClientPrice {
                product_number: entry.product,
                external_product_id: None,
                price: Decimal::ZERO,
                active: true,
            });
            client.prices.len() - 1
        });
        let price = &mut client.prices[index];
        price.price = entry.price;
        entry.active.apply_or(&mut price.active, true);
    }
}

fn tally(counts: &mut Counts, is_new: bool) {
    if is_new {
        counts.new += 1;
    } else {
        counts.changed += 1;
    }
}

fn apply(entry: &entry::Client, client: &mut Client) {
    if let Some(id) = &entry.sender_id {
        client.sender_id = Some(id.clone());
        // No guest any more (contract §4).
        client.guest_phone = None;
    }
    if let Some(username) = &entry.username {
        client.username.clone_from(username);
    }
    if let Some(account_number) = entry.account_number {
        client.account_number = Some(account_number);
    }
    entry.kind.apply_or(&mut client.kind, ClientType::default());
    entry.phone.apply(&mut client.phone);
    entry.phones.apply_or(&mut client.phones, Vec::new());
    entry.email.apply(&mut client.email);
    entry.comment.apply(&mut client.comment);
    entry
        .legal_address
        .apply_or(&mut client.legal_address, Vec::new());
    entry
        .coins_amount
        .apply_or(&mut client.coins_amount, Decimal::ZERO);
    entry
        .loyalty_system_is_active
        .apply(&mut client.loyalty_system_is_active);

    let mut account = client.bank_account.clone().unwrap_or_default();
    let [inn, kpp, number, correspondent, bik, name] = &entry.bank_account;
    inn.apply(&mut account.inn);
    kpp.apply(&mut account.kpp);
    number.apply(&mut account.account_number);
    correspondent.apply(&mut account.correspondent_account);
    bik.apply(&mut account.bik);
    name.apply(&mut account.bank_name);
    client.bank_account = (account != BankAccount::default()).then_some(account);
}
