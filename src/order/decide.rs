//! What is stored + what was sent -> what to write, and each order's verdict (contract §4, §5). Pure.
//!
//! Elements are applied in their order to a picture of the stored records; what to write is the difference between
//! the picture before and after. So an order sent twice in a batch, clients shared by orders and a change that is
//! taken back need no rules of their own, and what changes nothing writes nothing.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{
    address_index::AddressIndex,
    fault::{Fault, FaultCode, Hint, Path, Warning, WarningCode},
    known::Known,
    list::List,
    model::{Address, AddressContent, Client, ClientType, Order},
    wire::{ClientKey, Element, Sent, SentAddress, SentClient, SentItem, SentOrder},
};

/// A batch to decide on.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Its elements, in their order.
    pub elements: &'a [Element],
    /// When it came in: the `created_at` of new orders that bring none.
    pub received_at: DateTime<Utc>,
    /// Entries (by [`entries`]) that the database was seen to refuse.
    pub refused: &'a HashSet<usize>,
    /// Entries to leave out altogether, when looking for the one that the database refuses.
    pub skipped: &'a HashSet<usize>,
}

/// Which entry of the answer each element belongs to: one for each distinct id, in order of first appearance, and one
/// for each element without a usable id (contract §2).
#[must_use]
pub fn entries(elements: &[Element]) -> Vec<usize> {
    let mut by_id = HashMap::with_capacity(elements.len());
    let mut next = 0;
    elements
        .iter()
        .map(|element| {
            let mut fresh = || {
                next += 1;
                next - 1
            };
            match &element.id {
                Some(id) => *by_id.entry(id.as_str()).or_insert_with(fresh),
                None => fresh(),
            }
        })
        .collect()
}

/// Free numbers at hand, in the order in which they are given (contract §4.3).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FreeNumbers {
    /// For orders.
    pub order: VecDeque<i32>,
    /// For clients.
    pub client: VecDeque<i32>,
    /// For addresses.
    pub address: VecDeque<i32>,
}

/// Why there is no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    /// Numbers ran out: get more, decide again.
    Short(Shortage),
    /// It was told to stop.
    Stopped,
}

/// How many numbers were missing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Of orders.
    pub order: usize,
    /// Of clients.
    pub client: usize,
    /// Of addresses.
    pub address: usize,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// To be stored.
    Accepted(Accepted),
    /// Not stored, and why.
    Rejected(Vec<Fault>),
}

impl Verdict {
    /// Whether the order was accepted without something that came: a value was left out, rounded or shortened.
    #[must_use]
    pub fn has_remarks(&self) -> bool {
        match self {
            Self::Accepted(accepted) => accepted.warnings.iter().any(Warning::is_loss),
            Self::Rejected(_) => false,
        }
    }
}

/// An entry to be stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accepted {
    /// Its order, an index into [`Decision::orders`].
    pub order: usize,
    /// What to say with it.
    pub warnings: Vec<Warning>,
    /// Of each address in the client's list, in the order in which they were sent: our number; `None` where it found no
    /// room.
    pub addresses: Vec<Option<i32>>,
}

/// An order or a client before and after the batch.
#[derive(Debug)]
pub struct Record<'a, T> {
    /// As stored; `None` for a new one.
    pub before: Option<&'a Arc<T>>,
    /// As it is to be; the stored one itself while nothing of it has changed.
    pub after: Arc<T>,
}

impl<'a, T: PartialEq> Record<'a, T> {
    fn stored(stored: &'a Arc<T>) -> Self {
        Self {
            before: Some(stored),
            after: Arc::clone(stored),
        }
    }

    fn new(record: T) -> Self {
        Self {
            before: None,
            after: Arc::new(record),
        }
    }

    /// Its version once this is stored; `version` tells that of a stored one.
    #[must_use]
    pub fn version(&self, version: impl Fn(&T) -> i32) -> i32 {
        let stored = self.before.map_or(0, |before| version(before));
        stored + i32::from(!self.is_unchanged())
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.before
            .is_some_and(|before| Arc::ptr_eq(before, &self.after) || *before == self.after)
    }
}

/// What is to be written and answered.
#[derive(Debug)]
pub struct Decision<'a> {
    /// Every order the batches touch.
    pub orders: Vec<Record<'a, Order>>,
    /// Every client the batches touch.
    pub clients: Vec<Record<'a, Client>>,
    /// For each batch its entries' verdicts, in order.
    pub verdicts: Vec<Vec<Verdict>>,
}

/// After so many elements it is asked whether to go on.
const ASK_EVERY: usize = 64;

/// Decides on batches of one publication that are to be stored in one transaction, in their order of arrival. A client
/// is given no more than `most_addresses`. `go_on` is asked now and then, for a large batch takes a while.
///
/// # Errors
/// [`Undecided::Short`] when `numbers` ran out. What was taken of them stays taken; the caller gives them again.
/// [`Undecided::Stopped`] when `go_on` said no.
pub fn decide<'a: 'e, 'e>(
    known: &'a Known,
    batches: &[Batch<'e>],
    numbers: &mut FreeNumbers,
    most_addresses: usize,
    go_on: &dyn Fn() -> bool,
) -> Result<Decision<'a>, Undecided> {
    let mut picture = Picture::new(known, numbers, Brought::of(batches), most_addresses);
    let indexed: Vec<Vec<usize>> = batches
        .iter()
        .map(|batch| entries(batch.elements))
        .collect();
    let rejected = reject(&picture, batches, &indexed, go_on)?;

    let mut verdicts = Vec::with_capacity(batches.len());
    for ((batch, index), rejected) in batches.iter().zip(&indexed).zip(rejected) {
        let count = index.iter().max().map_or(0, |last| last + 1);
        let mut open: Vec<Verdict> = vec![Verdict::Rejected(Vec::new()); count];
        for (entry, faults) in rejected {
            open[entry] = Verdict::Rejected(faults);
        }
        for (at, (element, entry)) in batch.elements.iter().zip(index).enumerate() {
            if at % ASK_EVERY == 0 && !go_on() {
                return Err(Undecided::Stopped);
            }
            let sent = match (&open[*entry], &element.id, &element.order) {
                (Verdict::Rejected(faults), Some(id), Some(sent)) if faults.is_empty() => {
                    (id, sent)
                }
                (Verdict::Accepted(_), Some(id), Some(sent)) => (id, sent),
                _ => continue,
            };
            if batch.skipped.contains(entry) {
                continue;
            }
            let mut applied = picture.apply(sent.0, element, sent.1, batch.received_at);
            if let Verdict::Accepted(before) = &mut open[*entry] {
                let told: HashSet<&Warning> = before.warnings.iter().collect();
                applied.warnings.retain(|warning| !told.contains(warning));
                before.warnings.append(&mut applied.warnings);
                before.addresses.append(&mut applied.addresses);
            } else {
                open[*entry] = Verdict::Accepted(applied);
            }
        }
        verdicts.push(open);
    }
    if picture.shortage != Shortage::default() {
        return Err(Undecided::Short(picture.shortage));
    }
    picture.return_numbers();
    Ok(Decision {
        orders: picture.orders,
        clients: picture.clients,
        verdicts,
    })
}

/// No honest batch has orders that hang together in a longer chain.
const MOST_LOOKS: usize = 32;

/// Finds the entries to reject, and why: their own faults, clashes of the order's number, a name missing of a client
/// we do not know. An entry is taken whole or not at all, so one faulty element rejects the others of its id too.
///
/// Whether a client is known depends on the entries before, and those on one another; so this repeats until nothing
/// more falls. Almost always the second look finds nothing. A batch that still falls apart after [`MOST_LOOKS`] was made
/// to: from then on a client that only an order of it makes is not known to its others.
fn reject<'e>(
    picture: &Picture<'_, 'e, '_>,
    batches: &[Batch<'e>],
    indexed: &[Vec<usize>],
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<HashMap<usize, Vec<Fault>>>, Undecided> {
    let mut rejected: Vec<HashMap<usize, Vec<Fault>>> =
        batches.iter().map(|_| HashMap::new()).collect();
    for ((batch, index), rejected) in batches.iter().zip(indexed).zip(&mut rejected) {
        // An order that comes twice with the same fault is told it once.
        let mut told = HashSet::new();
        for (element, entry) in batch.elements.iter().zip(index) {
            if !element.faults.is_empty() {
                let faults = element.faults.iter();
                rejected.entry(*entry).or_default().extend(
                    faults
                        .filter(|fault| told.insert((*entry, *fault)))
                        .cloned(),
                );
            } else if batch.refused.contains(entry) {
                let refused = Fault {
                    field: String::new(),
                    code: FaultCode::Conflict,
                    hint: Hint::None,
                };
                rejected.entry(*entry).or_insert_with(|| vec![refused]);
            }
        }
    }
    let none_made = Made::default();
    // Batches of which something fell at the last look.
    let mut falling: HashSet<usize> = HashSet::new();
    for look in 0.. {
        if !go_on() {
            return Err(Undecided::Stopped);
        }
        let mut added: Vec<(usize, usize, Fault)> = Vec::new();
        let mut made = Made::default();
        for (number, (batch, index)) in batches.iter().zip(indexed).enumerate() {
            for (element, entry) in batch.elements.iter().zip(index) {
                let out = rejected[number].contains_key(entry) || batch.skipped.contains(entry);
                let is_endless = look >= MOST_LOOKS && falling.contains(&number);
                let clients_made = if is_endless { &none_made } else { &made };
                let faults = picture.check(element, &made, clients_made);
                if !out && faults.is_empty() {
                    picture.make(element, &mut made);
                }
                for fault in faults {
                    if !rejected[number]
                        .get(entry)
                        .is_some_and(|known| known.contains(&fault))
                    {
                        added.push((number, *entry, fault));
                    }
                }
            }
        }
        if added.is_empty() {
            break;
        }
        if look < MOST_LOOKS {
            falling = added.iter().map(|(number, _, _)| *number).collect();
        }
        for (number, entry, fault) in added {
            let faults = rejected[number].entry(entry).or_default();
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    Ok(rejected)
}

/// What the elements before make, as far as [`Picture::check`] needs to know.
#[derive(Default)]
struct Made<'e> {
    /// New orders, and the number that each brings along.
    orders: HashMap<&'e str, Option<i32>>,
    order_numbers: HashSet<i32>,
    /// The ids of clients that are new or take theirs.
    clients: HashSet<&'e str>,
    /// Numbers of clients that are brought along or take an id, and whether they have one then.
    client_numbers: HashMap<i32, bool>,
}

/// What becomes of a registered client by the contract's rules (§4).
enum Who {
    /// We know it.
    Known,
    /// We know it by this number, and it takes the id that came.
    TakesId(i32),
    /// It is new, with this number.
    Adopts(i32),
    /// It is new.
    New,
}

/// Numbers that come along in a batch. They are not given to others on the way: whoever brings a free one has it.
#[derive(Default)]
struct Brought {
    order: HashSet<i32>,
    client: HashSet<i32>,
    address: HashSet<i32>,
}

impl Brought {
    fn of(batches: &[Batch<'_>]) -> Self {
        let mut brought = Self::default();
        for element in batches.iter().flat_map(|batch| batch.elements) {
            if let Some(order) = &element.order {
                brought.order.extend(element.external_id);
                brought.client.extend(element.client.external_id);
                brought.address.extend(order.address_numbers());
            }
        }
        brought
    }
}

/// The stored records as they become, element by element.
struct Picture<'a, 'e, 'n> {
    known: &'a Known,
    numbers: &'n mut FreeNumbers,
    brought: Brought,
    shortage: Shortage,
    orders: Vec<Record<'a, Order>>,
    order_by_id: HashMap<&'e str, usize>,
    order_numbers: BTreeSet<i32>,
    clients: Vec<Record<'a, Client>>,
    client_by_id: HashMap<&'e str, usize>,
    client_by_number: HashMap<i32, usize>,
    guest_by_phone: HashMap<&'e str, usize>,
    address_numbers: BTreeSet<i32>,
    /// A client is given no more addresses.
    most_addresses: usize,
    /// Of clients with long lists, by their place in `clients`.
    address_indexes: HashMap<usize, AddressIndex>,
    /// Free numbers that are not to be given in this batch: somebody brings them along.
    passed_over: FreeNumbers,
}

/// Where a client or an address was found, or that it is new and with which number.
enum Found {
    /// At this index.
    There(usize),
    /// New, with the sender's number.
    Adopt(i32),
    /// New, with the next free number.
    New,
}

/// Where an order goes.
struct Destination {
    /// Which address of its client's.
    number: Option<i32>,
    /// The order's own copy; `None`: as it is.
    content: Option<AddressContent>,
}

/// The contract's three rules (§4) for clients and addresses, where the sender's id decides a clash.
///
/// `by_id`: the record of the sent id. `by_number`: the record that bears the sent number, and whether it is free to
/// take the sent id. Says besides whether the sent number was left alone.
fn identify(
    has_id: bool,
    by_id: Option<usize>,
    number: Option<i32>,
    by_number: Option<(usize, bool)>,
    number_is_taken: bool,
) -> (Found, bool) {
    match (by_id, number) {
        (Some(index), None) => (Found::There(index), false),
        (Some(index), Some(_)) => (
            Found::There(index),
            by_number.is_none_or(|(other, _)| other != index),
        ),
        (None, None) => (Found::New, false),
        (None, Some(number)) => match by_number {
            Some((index, takes_id)) if !has_id || takes_id => (Found::There(index), false),
            Some(_) => (Found::New, true),
            None if number_is_taken => (Found::New, true),
            None => (Found::Adopt(number), false),
        },
    }
}

/// The next free number that nobody brings along in this batch. Those that somebody does are passed over once for all.
fn next_number(
    free: &mut VecDeque<i32>,
    passed_over: &mut VecDeque<i32>,
    brought: &HashSet<i32>,
    taken: impl Fn(i32) -> bool,
    short: &mut usize,
) -> i32 {
    while let Some(number) = free.pop_front() {
        if !brought.contains(&number) && !taken(number) {
            return number;
        }
        passed_over.push_back(number);
    }
    *short += 1;
    // Stands in until the decision is made again with enough numbers; below zero it can clash with nothing.
    -i32::try_from(*short).unwrap_or(i32::MAX)
}

impl<'a: 'e, 'e, 'n> Picture<'a, 'e, 'n> {
    fn new(
        known: &'a Known,
        numbers: &'n mut FreeNumbers,
        brought: Brought,
        most_addresses: usize,
    ) -> Self {
        let mut picture = Self {
            known,
            numbers,
            brought,
            shortage: Shortage::default(),
            orders: Vec::with_capacity(known.orders.len()),
            order_by_id: HashMap::new(),
            order_numbers: known.order_numbers.clone(),
            clients: Vec::with_capacity(known.clients.len()),
            client_by_id: HashMap::new(),
            client_by_number: HashMap::new(),
            guest_by_phone: HashMap::new(),
            address_numbers: known.address_numbers.clone(),
            most_addresses,
            address_indexes: HashMap::new(),
            passed_over: FreeNumbers::default(),
        };
        for order in &known.orders {
            picture
                .order_by_id
                .insert(&order.sender_id, picture.orders.len());
            picture.order_numbers.insert(order.number);
            picture.orders.push(Record::stored(order));
        }
        for client in &known.clients {
            let index = picture.clients.len();
            picture.client_by_number.insert(client.number, index);
            if let Some(id) = &client.sender_id {
                picture.client_by_id.insert(id, index);
            }
            if let Some(phone) = &client.guest_phone {
                picture.guest_by_phone.insert(phone, index);
            }
            picture.clients.push(Record::stored(client));
        }
        picture
    }

    /// Puts back the free numbers that were passed over, but for those that records brought along and have now.
    fn return_numbers(&mut self) {
        let Self {
            numbers,
            passed_over,
            order_numbers,
            client_by_number,
            address_numbers,
            ..
        } = self;
        numbers.order.append(&mut passed_over.order);
        numbers.client.append(&mut passed_over.client);
        numbers.address.append(&mut passed_over.address);
        numbers.order.retain(|n| !order_numbers.contains(n));
        numbers.client.retain(|n| !client_by_number.contains_key(n));
        numbers.address.retain(|n| !address_numbers.contains(n));
    }

    /// The faults that show only against what is stored, and what elements before make: orders, and clients.
    fn check(&self, element: &Element, made: &Made<'_>, clients_made: &Made<'_>) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let (Some(id), Some(number)) = (&element.id, element.external_id) {
            let stored = self.order_by_id.get(id.as_str());
            let own = stored
                .map(|index| self.orders[*index].after.number)
                .or_else(|| made.orders.get(id.as_str()).copied().flatten());
            let is_anothers = own != Some(number)
                && (self.order_numbers.contains(&number) || made.order_numbers.contains(&number));
            if is_anothers {
                let field = Path::ROOT.field("external_id").to_string();
                faults.push(Fault {
                    field,
                    code: FaultCode::Conflict,
                    hint: Hint::None,
                });
            }
        }
        let client = &element.client;
        if client.is_registered()
            && !element.has_username
            && matches!(self.who(client, clients_made), Who::Adopts(_) | Who::New)
        {
            let path = Path::ROOT.field("client");
            let field = path.field("username").to_string();
            faults.push(Fault {
                field,
                code: FaultCode::Required,
                hint: Hint::None,
            });
        }
        faults
    }

    /// Notes what an element without faults makes.
    fn make(&self, element: &'e Element, made: &mut Made<'e>) {
        if let Some(id) = element.id.as_deref()
            && !self.order_by_id.contains_key(id)
            && !made.orders.contains_key(id)
        {
            made.orders.insert(id, element.external_id);
            made.order_numbers.extend(element.external_id);
        }
        let client = &element.client;
        if !client.is_registered() {
            return;
        }
        match self.who(client, made) {
            Who::Known => return,
            Who::TakesId(number) => made.client_numbers.insert(number, true),
            Who::Adopts(number) => made.client_numbers.insert(number, client.id.is_some()),
            Who::New => None,
        };
        made.clients.extend(client.id.as_deref());
    }

    fn who(&self, key: &ClientKey, made: &Made<'_>) -> Who {
        if let Some(id) = key.id.as_deref()
            && (self.client_by_id.contains_key(id) || made.clients.contains(id))
        {
            return Who::Known;
        }
        let Some(number) = key.external_id else {
            return Who::New;
        };
        let stored = self.client_by_number.get(&number);
        let has_id = made
            .client_numbers
            .get(&number)
            .copied()
            .or_else(|| stored.map(|index| self.clients[*index].after.sender_id.is_some()));
        match has_id {
            None => Who::Adopts(number),
            Some(_) if key.id.is_none() => Who::Known,
            Some(false) => Who::TakesId(number),
            Some(true) => Who::New,
        }
    }

    /// Applies one element without faults.
    fn apply(
        &mut self,
        id: &'e str,
        element: &'e Element,
        sent: &'e SentOrder,
        received_at: DateTime<Utc>,
    ) -> Accepted {
        let root = Path::ROOT;
        let mut applied = Accepted {
            warnings: element.warnings.clone(),
            ..Accepted::default()
        };
        let warnings = &mut applied.warnings;
        let (
            Some(total),
            Some(shipping_date_from),
            Some(shipping_date_to),
            Some(items),
            Some(sent_client),
            Some(shipping_address),
        ) = (
            sent.total,
            sent.shipping_date_from,
            sent.shipping_date_to,
            &sent.items,
            &sent.client,
            &sent.shipping_address,
        )
        else {
            return applied;
        };
        let client = self.client(&element.client, sent_client, warnings);
        let client_path = root.field("client");
        let list = client_path.field("addresses");
        for (index, address) in sent_client.addresses.iter().enumerate() {
            let number = self.address(client, address, list.index(index), warnings);
            applied.addresses.push(number);
        }
        let known = self.order_by_id.get(id).copied();
        let destination = self.shipping_address(known, client, shipping_address, warnings);
        let client_number = self.clients[client].after.number;
        let products = self.products(items, warnings);

        let Some(index) = known else {
            let number = match element.external_id {
                Some(number) if !self.order_numbers.contains(&number) => number,
                _ => next_number(
                    &mut self.numbers.order,
                    &mut self.passed_over.order,
                    &self.brought.order,
                    |number| self.order_numbers.contains(&number),
                    &mut self.shortage.order,
                ),
            };
            let order = Order {
                number,
                uuid: Uuid::now_v7(),
                version: 1,
                sender_id: id.to_owned(),
                status: sent.status,
                client_number,
                shipping_address: destination
                    .content
                    .unwrap_or_else(|| shipping_address.content()),
                address_number: destination.number,
                created_at: sent.created_at.unwrap_or(received_at),
                total,
                delivery_cost: None,
                coins: None,
                payment_type: None,
                payment_status: false,
                shipping_date_from,
                shipping_date_to,
                comment: None,
                count_of_returned_bottles: 0,
                ask_for_checkout: None,
                items: List::default(),
            };
            let mut record = Record::new(order);
            sent_content(&mut record.after, sent, items, &products);
            let index = self.orders.len();
            self.order_numbers.insert(number);
            self.order_by_id.insert(id, index);
            self.orders.push(record);
            applied.order = index;
            return applied;
        };

        let order = &mut self.orders[index].after;
        // Another order's number is a clash and came no further; one that is nobody's is left alone (contract §4).
        if element
            .external_id
            .is_some_and(|number| number != order.number)
        {
            warnings.push(Warning::new(
                &root.field("external_id"),
                WarningCode::ExternalIdIgnored,
            ));
        }
        if order.status.may_become(sent.status) {
            put(order, &sent.status, |o| &o.status, |o| &mut o.status);
        } else {
            warnings.push(Warning::new(
                &root.field("status"),
                WarningCode::StatusNotChanged,
            ));
        }
        let goes_to = (client_number, destination.number);
        if (order.client_number, order.address_number) != goes_to {
            let order = Arc::make_mut(order);
            (order.client_number, order.address_number) = goes_to;
        }
        if let Some(content) = &destination.content {
            put(
                order,
                content,
                |o| &o.shipping_address,
                |o| &mut o.shipping_address,
            );
        }
        put(order, &total, |o| &o.total, |o| &mut o.total);
        put(
            order,
            &shipping_date_from,
            |o| &o.shipping_date_from,
            |o| &mut o.shipping_date_from,
        );
        put(
            order,
            &shipping_date_to,
            |o| &o.shipping_date_to,
            |o| &mut o.shipping_date_to,
        );
        if let Some(created_at) = &sent.created_at {
            put(order, created_at, |o| &o.created_at, |o| &mut o.created_at);
        }
        sent_content(order, sent, items, &products);
        applied.order = index;
        applied
    }

    fn client(
        &mut self,
        key: &'e ClientKey,
        sent: &SentClient,
        warnings: &mut Vec<Warning>,
    ) -> usize {
        let found = if key.is_registered() {
            let by_id = key
                .id
                .as_ref()
                .and_then(|id| self.client_by_id.get(id.as_str()).copied());
            let by_number = key
                .external_id
                .and_then(|number| self.client_by_number.get(&number))
                .map(|index| {
                    let client = &self.clients[*index].after;
                    (
                        *index,
                        client.sender_id.is_none() || client.sender_id == key.id,
                    )
                });
            let (found, left_alone) = identify(
                key.id.is_some(),
                by_id,
                key.external_id,
                by_number,
                by_number.is_some(),
            );
            if left_alone {
                let path = Path::ROOT.field("client");
                warnings.push(Warning::new(
                    &path.field("external_id"),
                    WarningCode::ExternalIdIgnored,
                ));
            }
            found
        } else {
            match key
                .phone
                .as_ref()
                .and_then(|phone| self.guest_by_phone.get(phone.as_str()))
            {
                Some(index) => Found::There(*index),
                None => Found::New,
            }
        };
        let index = match found {
            Found::There(index) => index,
            Found::Adopt(_) | Found::New => {
                let number = match found {
                    Found::Adopt(number) => number,
                    _ => next_number(
                        &mut self.numbers.client,
                        &mut self.passed_over.client,
                        &self.brought.client,
                        |number| self.client_by_number.contains_key(&number),
                        &mut self.shortage.client,
                    ),
                };
                let client = Client {
                    number,
                    version: 1,
                    sender_id: key.id.clone(),
                    guest_phone: if key.is_registered() {
                        None
                    } else {
                        key.phone.clone()
                    },
                    username: String::new(),
                    phone: None,
                    phones: Vec::new(),
                    email: None,
                    comment: None,
                    account_number: Some(i64::from(number)),
                    kind: ClientType::default(),
                    bank_account: None,
                    legal_address: Vec::new(),
                    coins_amount: Decimal::ZERO,
                    loyalty_system_is_active: None,
                    addresses: List::default(),
                    prices: List::default(),
                };
                let index = self.clients.len();
                self.client_by_number.insert(number, index);
                match (&key.id, &key.phone) {
                    (Some(id), _) => drop(self.client_by_id.insert(id, index)),
                    (None, Some(phone)) if !key.is_registered() => {
                        self.guest_by_phone.insert(phone, index);
                    }
                    (None, _) => {}
                }
                self.clients.push(Record::new(client));
                index
            }
        };

        let client = &mut self.clients[index].after;
        if let (Some(id), None) = (&key.id, &client.sender_id) {
            // Known by number only: it takes this id, and is no guest any more.
            let client = Arc::make_mut(client);
            client.sender_id = Some(id.clone());
            self.client_by_id.insert(id, index);
            if let Some(phone) = client.guest_phone.take() {
                self.guest_by_phone.remove(phone.as_str());
            }
        }
        // A name cannot be cleared, and no account number means "none of mine": the stored ones stay.
        if let Some(username) = &sent.username {
            put(client, username, |c| &c.username, |c| &mut c.username);
        }
        if sent.account_number.is_some() {
            put(
                client,
                &sent.account_number,
                |c| &c.account_number,
                |c| &mut c.account_number,
            );
        }
        apply(&sent.phone, client, |c| &c.phone, |c| &mut c.phone);
        let none = Vec::new();
        let phones = sent.phones.applied(&client.phones, &none);
        if *phones != client.phones {
            let phones = phones.clone();
            Arc::make_mut(client).phones = phones;
        }
        apply(&sent.email, client, |c| &c.email, |c| &mut c.email);
        apply(&sent.comment, client, |c| &c.comment, |c| &mut c.comment);
        let kind = *sent.kind.applied(&client.kind, &ClientType::default());
        put(client, &kind, |c| &c.kind, |c| &mut c.kind);
        index
    }

    /// Finds or makes an address of the client's list; where that has no room for one more, it is left out.
    fn address(
        &mut self,
        client: usize,
        sent: &SentAddress,
        path: Path<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Option<i32> {
        let by_id = sent.id.as_ref().and_then(|id| self.by_id(client, id));
        let by_number = sent.number.and_then(|number| {
            let index = self.by_number(client, number)?;
            let addresses = &self.clients[client].after.addresses;
            Some((
                index,
                addresses[index].sender_id.is_none() || addresses[index].sender_id == sent.id,
            ))
        });
        let is_taken = sent
            .number
            .is_some_and(|number| self.address_numbers.contains(&number));
        let (found, left_alone) =
            identify(sent.id.is_some(), by_id, sent.number, by_number, is_taken);
        if left_alone {
            warnings.push(Warning::new(
                &path.field("external_id"),
                WarningCode::ExternalIdIgnored,
            ));
        }
        // Neither an id nor a number that tells anything: the content does.
        let found = match found {
            Found::New if sent.id.is_none() => self
                .by_content(client, sent)
                .map_or(Found::New, Found::There),
            found => found,
        };
        let number = self.put_address(client, &found, sent);
        if number.is_none() {
            warnings.push(Warning::new(&path, WarningCode::TooMany));
        }
        number
    }

    /// Finds or makes the order's address (contract §4: never another client's).
    fn shipping_address(
        &mut self,
        order: Option<usize>,
        client: usize,
        sent: &SentAddress,
        warnings: &mut Vec<Warning>,
    ) -> Destination {
        let path = Path::ROOT.field("shipping_address");
        let by_number = sent
            .number
            .and_then(|number| self.by_number(client, number));
        if by_number.is_none() && (sent.number.is_some() || sent.impossible_number) {
            warnings.push(Warning::new(
                &path.field("user_address_id"),
                WarningCode::AddressNotFound,
            ));
        }
        let number = self.clients[client].after.number;
        let order = order
            .map(|order| &self.orders[order].after)
            .filter(|order| order.client_number == number);
        if let Some(at) = by_number {
            // The number says which address of the client's, the rest what that is now. An order that goes there already
            // has what was sent applied to its own copy, for the client's address may say something else by now.
            let own = order
                .filter(|order| order.address_number == sent.number)
                .map(|order| {
                    sent.changes(&order.shipping_address).then(|| {
                        let mut content = order.shipping_address.clone();
                        sent.apply(&mut content);
                        content
                    })
                });
            self.put_address(client, &Found::There(at), sent);
            let content = own.unwrap_or_else(|| {
                let address = &self.clients[client].after.addresses[at];
                Some(address.content.clone())
            });
            return Destination {
                number: sent.number,
                content,
            };
        }
        if let Some(order) = order
            && !sent.changes(&order.shipping_address)
        {
            // It goes where it went, whatever has become of that address of the client's.
            let number = order.address_number;
            if number.is_none() {
                warnings.push(Warning::new(&path, WarningCode::TooMany));
            }
            return Destination {
                number,
                content: None,
            };
        }
        let found = self
            .by_content(client, sent)
            .map_or(Found::New, Found::There);
        let number = self.put_address(client, &found, sent);
        if number.is_none() {
            warnings.push(Warning::new(&path, WarningCode::TooMany));
        }
        Destination {
            number,
            content: Some(sent.content()),
        }
    }

    /// The index of a client's addresses, where the list is long.
    fn address_index(&mut self, client: usize) -> Option<&AddressIndex> {
        let addresses = &self.clients[client].after.addresses;
        if addresses.len() < AddressIndex::WORTH_IT {
            return None;
        }
        let index = self.address_indexes.entry(client);
        Some(index.or_insert_with(|| AddressIndex::of(addresses)))
    }

    /// Where in its client's list the address of that number stands.
    fn by_number(&self, client: usize, number: i32) -> Option<usize> {
        let addresses = &self.clients[client].after.addresses;
        let found = addresses.binary_search_by_key(&number, |address| address.number);
        found.ok()
    }

    fn by_id(&mut self, client: usize, id: &str) -> Option<usize> {
        if let Some(index) = self.address_index(client) {
            let number = index.by_id(id)?;
            return self.by_number(client, number);
        }
        let is_it = |address: &Address| address.sender_id.as_deref() == Some(id);
        let addresses = &self.clients[client].after.addresses;
        addresses.iter().position(is_it)
    }

    fn by_content(&mut self, client: usize, sent: &SentAddress) -> Option<usize> {
        if let Some(index) = self.address_index(client) {
            let number = index.by_content(&sent.content())?;
            return self.by_number(client, number);
        }
        let is_it = |address: &Address| sent.is(&address.content);
        let addresses = &self.clients[client].after.addresses;
        addresses.iter().position(is_it)
    }

    /// Writes an address where it was found, or makes it; says its number. `None` where the client has no room for it.
    fn put_address(&mut self, client: usize, found: &Found, sent: &SentAddress) -> Option<i32> {
        let index = self.address_indexes.get_mut(&client);
        let client = &mut self.clients[client].after;
        if let Found::There(at) = *found {
            let stored = &client.addresses[at];
            let takes_id = stored.sender_id.is_none() && sent.id.is_some();
            if takes_id || sent.changes(&stored.content) {
                let address = &mut Arc::make_mut(client).addresses[at];
                let before = index.is_some().then(|| address.clone());
                if takes_id {
                    address.sender_id.clone_from(&sent.id);
                }
                sent.apply(&mut address.content);
                if let (Some(index), Some(before)) = (index, &before) {
                    index.remove(before);
                    index.add(address);
                }
            }
            return Some(client.addresses[at].number);
        }
        if client.addresses.len() >= self.most_addresses {
            return None;
        }
        let number = match *found {
            Found::Adopt(number) => number,
            Found::There(_) | Found::New => next_number(
                &mut self.numbers.address,
                &mut self.passed_over.address,
                &self.brought.address,
                |number| self.address_numbers.contains(&number),
                &mut self.shortage.address,
            ),
        };
        self.address_numbers.insert(number);
        let address = Address {
            number,
            sender_id: sent.id.clone(),
            content: sent.content(),
            district_number: None,
            district_name: None,
        };
        if let Some(index) = index {
            index.add(&address);
        }
        // By number, as they will be read: an answer must not change when the same is sent again.
        let addresses = &mut Arc::make_mut(client).addresses;
        let place = addresses.partition_point(|other| other.number < number);
        addresses.insert(place, address);
        Some(number)
    }

    /// Looks each line's product up: by `product_id`, then by `id` (contract §5).
    fn products(&self, sent: &[SentItem], warnings: &mut Vec<Warning>) -> Vec<Option<i32>> {
        let list = Path::ROOT.field("order_item_list");
        let number = |id: &str| self.known.products.get(id).copied();
        sent.iter()
            .enumerate()
            .map(|(index, item)| {
                let mut warn = |code| {
                    let place = list.index(index);
                    warnings.push(Warning::new(&place.field("product_id"), code));
                };
                let first = number(&item.product_id);
                // Most senders write the same id in both.
                let other = item.id.as_deref().filter(|id| *id != item.product_id);
                match (first, other.and_then(number)) {
                    (Some(first), Some(second)) if first != second => {
                        warn(WarningCode::ProductAmbiguous);
                        Some(first)
                    }
                    (None, None) => {
                        warn(WarningCode::ProductNotFound);
                        None
                    }
                    (first, second) => first.or(second),
                }
            })
            .collect()
    }
}

/// Writes a field where it differs. A stored record is copied when it is first written to; most come just as they are.
fn put<T: Clone, V: Clone + PartialEq>(
    record: &mut Arc<T>,
    value: &V,
    field: fn(&T) -> &V,
    field_mut: fn(&mut T) -> &mut V,
) {
    if field(record) != value {
        field_mut(Arc::make_mut(record)).clone_from(value);
    }
}

/// The same of a field that may be absent or cleared.
fn apply<T: Clone, V: Clone + PartialEq>(
    sent: &Sent<V>,
    record: &mut Arc<T>,
    field: fn(&T) -> &Option<V>,
    field_mut: fn(&mut T) -> &mut Option<V>,
) {
    if sent.changes(field(record).as_ref()) {
        sent.apply(field_mut(Arc::make_mut(record)));
    }
}

/// The content that may be absent or cleared, and the lines with their products, which replace the list.
fn sent_content(
    order: &mut Arc<Order>,
    sent: &SentOrder,
    items: &[SentItem],
    products: &[Option<i32>],
) {
    apply(
        &sent.delivery_cost,
        order,
        |o| &o.delivery_cost,
        |o| &mut o.delivery_cost,
    );
    apply(&sent.coins, order, |o| &o.coins, |o| &mut o.coins);
    apply(
        &sent.payment_type,
        order,
        |o| &o.payment_type,
        |o| &mut o.payment_type,
    );
    let paid = *sent.payment_status.applied(&order.payment_status, &false);
    put(
        order,
        &paid,
        |o| &o.payment_status,
        |o| &mut o.payment_status,
    );
    apply(&sent.comment, order, |o| &o.comment, |o| &mut o.comment);
    let bottles = &sent.count_of_returned_bottles;
    let bottles = *bottles.applied(&order.count_of_returned_bottles, &0);
    put(
        order,
        &bottles,
        |o| &o.count_of_returned_bottles,
        |o| &mut o.count_of_returned_bottles,
    );
    apply(
        &sent.ask_for_checkout,
        order,
        |o| &o.ask_for_checkout,
        |o| &mut o.ask_for_checkout,
    );
    let lines = || items.iter().zip(products);
    let are_stored = order.items.len() == items.len()
        && lines()
            .zip(&order.items)
            .all(|((item, product), stored)| item.is(*product, stored));
    if !are_stored {
        let items = lines().map(|(item, product)| item.with(*product));
        Arc::make_mut(order).items = items.collect();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::order::{Rules, phone::Region, wire};

    const MANY: usize = 60_000;

    fn rules() -> Rules {
        Rules {
            timezone: chrono_tz::Europe::Moscow,
            phone_region: Region::Ru,
            payment_types: None,
            loyalty_system_is_active: false,
            answers_stored: true,
            max_order_items: MANY,
            max_client_addresses: MANY,
        }
    }

    fn nothing_known() -> Known {
        Known {
            now: DateTime::UNIX_EPOCH,
            orders: Vec::new(),
            order_numbers: BTreeSet::new(),
            clients: Vec::new(),
            address_numbers: BTreeSet::new(),
            products: HashMap::new(),
        }
    }

    fn address(house: usize) -> Value {
        json!({ "city": "Эжва", "street": "Мира", "house": house.to_string(), "str": "Мира" })
    }

    /// An order of the client `one`.
    fn order(id: &str, addresses: &[Value], items: usize) -> Value {
        json!({
            "id": id, "status": "new", "total": 1,
            "shipping_date_from": "2026-11-06T11:00:00Z", "shipping_date_to": "2026-11-06T18:00:00Z",
            "order_item_list": vec![json!({ "product_id": "w", "price": 1, "quantity": 1 }); items],
            "client": { "id": "one", "username": "Один", "addresses": addresses },
            "shipping_address": address(1),
        })
    }

    fn read(orders: &[Value]) -> Vec<Element> {
        let rules = rules();
        let elements = orders.iter();
        elements
            .map(|order| wire::parse(&order.to_string(), &rules, usize::MAX))
            .collect()
    }

    fn decide_on<'k>(
        known: &'k Known,
        elements: &[Element],
        go_on: &dyn Fn() -> bool,
    ) -> Result<Decision<'k>, Undecided> {
        let none = HashSet::new();
        let batch = Batch {
            elements,
            received_at: DateTime::UNIX_EPOCH,
            refused: &none,
            skipped: &none,
        };
        let numbers = || (1..).take(2 * MANY).collect();
        let mut numbers = FreeNumbers {
            order: numbers(),
            client: numbers(),
            address: numbers(),
        };
        decide(known, &[batch], &mut numbers, MANY, go_on)
    }

    // The next ones end in a second or two. Work that grows with the square of what comes would take minutes.

    #[test]
    fn many_addresses_of_one_client_are_looked_at_once_each() {
        let known = nothing_known();
        let addresses: Vec<Value> = (0..MANY).map(address).collect();
        let half = MANY / 2;
        let elements = read(&[
            order("1", &addresses[..half], 1),
            order("2", &addresses[half..], 1),
            order("3", &addresses[half..], 1),
        ]);
        let decision = decide_on(&known, &elements, &|| true).expect("decided");
        assert_eq!(decision.clients[0].after.addresses.len(), MANY);
        let changes = super::super::diff::changes(&decision);
        assert_eq!(changes.addresses.len(), MANY);
    }

    #[test]
    fn an_order_that_comes_again_and_again_is_warned_of_each_line_once() {
        let known = nothing_known();
        let elements = read(&vec![order("1", &[], 2_000); 200]);
        let decision = decide_on(&known, &elements, &|| true).expect("decided");
        let Verdict::Accepted(accepted) = &decision.verdicts[0][0] else {
            panic!("{:?}", decision.verdicts[0][0]);
        };
        assert_eq!(accepted.warnings.len(), 2_000);
    }

    #[test]
    fn numbers_that_the_batch_brings_along_are_passed_over_once() {
        let known = nothing_known();
        let count = 30_000;
        // The last ones bring the very numbers that the first ones would be given.
        let orders: Vec<Value> = (0..2 * count)
            .map(|n| {
                let mut order = order(&n.to_string(), &[], 1);
                if n >= count {
                    order["external_id"] = json!(n - count + 1);
                }
                order
            })
            .collect();
        let elements = read(&orders);
        let decision = decide_on(&known, &elements, &|| true).expect("decided");
        let numbers: HashSet<i32> = decision.orders.iter().map(|o| o.after.number).collect();
        assert_eq!(numbers.len(), 2 * count);
        assert_eq!(decision.orders[count].after.number, 1);
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let known = nothing_known();
        let elements = read(&vec![order("1", &[], 1); 1_000]);
        let asked = std::cell::Cell::new(0);
        let until_the_third = || {
            asked.set(asked.get() + 1);
            asked.get() < 3
        };
        let decided = decide_on(&known, &elements, &until_the_third);
        assert_eq!(decided.err(), Some(Undecided::Stopped));
        assert_eq!(asked.get(), 3);
    }

    /// Each entry is known by the one before, and falls with it.
    #[test]
    fn a_chain_of_orders_that_fall_one_after_the_other_is_followed_once() {
        let known = nothing_known();
        let count = 8_000;
        let make = |n: usize, client: usize, username: bool| {
            let mut order = order(&n.to_string(), &[], 1);
            order["client"] = json!({ "id": format!("client {client}") });
            if username {
                order["client"]["username"] = json!("Один");
            }
            order
        };
        // Each order comes twice: it makes a client first, and then needs the client that the order before makes.
        let mut orders: Vec<Value> = (1..=count).map(|n| make(n, n, true)).collect();
        orders.extend((1..=count).rev().map(|n| make(n, n - 1, false)));
        let elements = read(&orders);
        let decision = decide_on(&known, &elements, &|| true).expect("decided");
        assert!(
            decision.orders.is_empty(),
            "the first needs a client that nobody makes"
        );
    }
}
