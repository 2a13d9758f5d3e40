//! What is stored + what was sent -> what to write, and each order's verdict (contract §4, §5). Pure.
//!
//! Elements are applied in their order to a picture of the stored records; what to write is the difference between
//! the picture before and after. So an order sent twice in a batch, clients shared by orders and a change that is
//! taken back need no rules of their own, and what changes nothing writes nothing.

mod finished;

use std::{
    borrow::Cow,
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

/// Of each address in a client's list, in the order in which they were sent: our number; `None` where it found no room.
pub type AddressNumbers = Vec<Option<i32>>;

/// An entry to be stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accepted {
    /// Its order, an index into [`Decision::orders`].
    pub order: usize,
    /// What to say with it.
    pub warnings: Vec<Warning>,
    /// For each of the entry's elements: the numbers of its client's addresses. `None` where nothing of its client was taken:
    /// a cancellation that came without one, or with one that we do not know.
    pub addresses: Vec<Option<AddressNumbers>>,
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
    let mut verdicts = Vec::with_capacity(batches.len());
    for batch in batches {
        verdicts.push(picture.batch(batch, go_on)?);
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

/// So often a batch is applied at most. Nothing that we know of takes more than five.
const MOST_ROUNDS: usize = 8;

/// No honest batch has orders that hang together in a longer chain.
const MOST_LOOKS: usize = 32;

/// Finds the entries to reject, and why: their own faults, clashes of the order's number, a finished order of somebody
/// else's, a name missing of a client we do not know. An entry is taken whole or not at all, so one faulty element rejects the
/// others of its id too.
///
/// A client is known if it is stored or an order of the batch makes it, wherever that stands: else the order would be
/// taken when the batch is sent again. So whether one entry falls depends on others, and this repeats until nothing more falls.
/// Almost always the second look finds nothing. A batch that still falls apart after [`MOST_LOOKS`] was made to: from then on
/// a client that only an order of it makes is not known to its others.
fn reject<'e>(
    picture: &Picture<'_, 'e, '_>,
    batch: &Batch<'e>,
    index: &[usize],
    go_on: &dyn Fn() -> bool,
) -> Result<HashMap<usize, Vec<Fault>>, Undecided> {
    let mut rejected: HashMap<usize, Vec<Fault>> = HashMap::new();
    // An order that comes twice with the same fault is told it once.
    let mut told: HashSet<(usize, Cow<'e, Fault>)> = HashSet::new();
    for (element, entry) in batch.elements.iter().zip(index) {
        if !element.faults.is_empty() {
            let faults = element.faults.iter();
            rejected.entry(*entry).or_default().extend(
                faults
                    .filter(|fault| told.insert((*entry, Cow::Borrowed(*fault))))
                    .cloned(),
            );
        } else if batch.refused.contains(entry) {
            rejected
                .entry(*entry)
                .or_insert_with(|| vec![conflict(&"")]);
        }
    }
    for entry in finished::of_others(picture, batch.elements, index, go_on)? {
        let faults = rejected.entry(entry).or_default();
        faults.push(conflict(&Path::ROOT.field("id")));
    }
    let none_made = Made::default();
    for look in 0.. {
        let mut added: Vec<(usize, Cow<'e, Fault>)> = Vec::new();
        let mut made = Made::default();
        loop {
            added.clear();
            let before = made.count;
            let mut waits = false;
            for (at, (element, entry)) in batch.elements.iter().zip(index).enumerate() {
                if at % ASK_EVERY == 0 && !go_on() {
                    return Err(Undecided::Stopped);
                }
                let out = rejected.contains_key(entry) || batch.skipped.contains(entry);
                let is_endless = look >= MOST_LOOKS;
                let clients_made = if is_endless { &none_made } else { &made };
                let (faults, is_stranger) = picture.check(at, element, &made, clients_made);
                if !out && faults.is_empty() {
                    picture.make(at, element, &mut made);
                }
                waits |= is_stranger;
                let faults = faults.into_iter().map(|fault| (*entry, fault));
                added.extend(faults.filter(|fault| !told.contains(fault)));
            }
            // Whom we do not know may be made further on.
            if !waits || made.count == before {
                break;
            }
        }
        if added.is_empty() {
            break;
        }
        for (entry, fault) in added {
            if told.insert((entry, fault.clone())) {
                let faults = rejected.entry(entry).or_default();
                faults.push(fault.into_owned());
            }
        }
    }
    Ok(rejected)
}

fn conflict(field: &dyn std::fmt::Display) -> Fault {
    Fault {
        field: field.to_string(),
        code: FaultCode::Conflict,
        hint: Hint::None,
    }
}

/// What the elements of a batch make, as far as [`Picture::check`] needs to know.
#[derive(Default)]
struct Made<'e> {
    /// New orders: the number that each brings along, and the place of the first element.
    orders: HashMap<&'e str, (Option<i32>, usize)>,
    /// Whose those numbers are, and by which element they come.
    order_numbers: HashMap<i32, (&'e str, usize)>,
    /// The ids of clients that are new or take theirs.
    clients: HashSet<&'e str>,
    /// Numbers of clients that are brought along or take an id, and whether they have one then.
    client_numbers: HashMap<i32, bool>,
    /// Grows with each of them.
    count: usize,
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
    round: Round,
    none_made: Made<'e>,
}

/// What happened while a batch was applied once.
#[derive(Default)]
struct Round {
    /// An address was looked for by its content, or one became an order's by its number.
    looked_at_addresses: bool,
    /// An order stayed where it goes, whatever has become of that address of the client's.
    kept_an_address: bool,
    /// Applied again the batch may do something else: something was changed after it was looked at, or had to wait.
    may_differ: bool,
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
            round: Round::default(),
            none_made: Made::default(),
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

    /// Applies a batch, and says what becomes of its entries.
    ///
    /// It is applied again while that changes something. Sent again it would, and must not (contract §4): an address that
    /// an element found by its content may have got another content by a later one, a guest an id. Nearly no batch has any
    /// of that, and is applied once.
    fn batch(
        &mut self,
        batch: &Batch<'e>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<Verdict>, Undecided> {
        let index = entries(batch.elements);
        let mut rejected = reject(self, batch, &index, go_on)?;
        let count = index.iter().max().map_or(0, |last| last + 1);
        let mut verdicts = Vec::new();
        let mut state = None;
        for _ in 0..MOST_ROUNDS {
            let earlier = std::mem::take(&mut verdicts);
            self.round = Round::default();
            verdicts = (0..count)
                .map(|entry| Verdict::Rejected(rejected.get(&entry).cloned().unwrap_or_default()))
                .collect();
            let mut addresses = vec![Vec::new(); count];
            for (at, (element, entry)) in batch.elements.iter().zip(&index).enumerate() {
                if at % ASK_EVERY == 0 && !go_on() {
                    return Err(Undecided::Stopped);
                }
                if rejected.contains_key(entry) || batch.skipped.contains(entry) {
                    continue;
                }
                let (Some(id), Some(sent)) = (&element.id, &element.order) else {
                    continue;
                };
                let applied = self.apply(id, element, sent, batch.received_at);
                let (applied, numbers) = applied.unzip();
                addresses[*entry].push(numbers.flatten());
                let Some(mut applied) = applied else {
                    self.round.may_differ = true;
                    continue;
                };
                if let Verdict::Accepted(before) = &mut verdicts[*entry] {
                    let told: HashSet<&Warning> = before.warnings.iter().collect();
                    applied.warnings.retain(|warning| !told.contains(warning));
                    before.warnings.append(&mut applied.warnings);
                } else {
                    verdicts[*entry] = Verdict::Accepted(applied);
                }
            }
            for (verdict, addresses) in verdicts.iter_mut().zip(addresses) {
                if let Verdict::Accepted(accepted) = verdict {
                    accepted.addresses = addresses;
                }
            }
            // That it moved is to be said, though it has moved by now.
            for (verdict, earlier) in verdicts.iter_mut().zip(earlier) {
                if let (Verdict::Accepted(now), Verdict::Accepted(then)) = (verdict, earlier) {
                    let moved = |warning: &Warning| warning.code == WarningCode::ClientChanged;
                    if !now.warnings.iter().any(moved) {
                        now.warnings.extend(then.warnings.into_iter().filter(moved));
                    }
                }
            }
            // Whatever begins where the round before began ends where that ended.
            let is_stable = !self.round.may_differ || {
                let now = self.state();
                let is_same = state.as_ref() == Some(&now);
                state = Some(now);
                is_same
            };
            if is_stable && !self.forgives(&mut rejected, batch, &index, go_on)? {
                break;
            }
        }
        // What still waits after the last round is not taken, and that is said.
        for verdict in &mut verdicts {
            if let Verdict::Rejected(faults) = verdict
                && faults.is_empty()
            {
                faults.push(conflict(&""));
            }
        }
        Ok(verdicts)
    }

    /// All records as they are.
    fn state(&self) -> (Vec<Arc<Order>>, Vec<Arc<Client>>) {
        let orders = self.orders.iter().map(|record| Arc::clone(&record.after));
        let clients = self.clients.iter().map(|record| Arc::clone(&record.after));
        (orders.collect(), clients.collect())
    }

    /// Whether something of the batch took away the reason for which an entry was rejected: a finished order's client was said
    /// to have a phone of the one who comes, say. What would be taken when it is sent again is taken.
    fn forgives(
        &self,
        rejected: &mut HashMap<usize, Vec<Fault>>,
        batch: &Batch<'e>,
        index: &[usize],
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool, Undecided> {
        let of_itself = batch.elements.iter().zip(index);
        let of_itself: HashSet<&usize> = of_itself
            .filter(|(element, _)| !element.faults.is_empty())
            .map(|(_, entry)| entry)
            .chain(batch.refused)
            .collect();
        if rejected.keys().all(|entry| of_itself.contains(entry)) {
            return Ok(false);
        }
        let again = reject(self, batch, index, go_on)?;
        let before = rejected.len();
        rejected.retain(|entry, _| again.contains_key(entry));
        Ok(rejected.len() < before)
    }

    /// The faults that show only against what is stored, and what elements of the batch make: orders, and clients.
    /// Returns the faults, and whether the client is unknown.
    fn check<'f>(
        &self,
        at: usize,
        element: &'f Element,
        made: &Made<'_>,
        clients_made: &Made<'_>,
    ) -> (Vec<Cow<'f, Fault>>, bool) {
        let mut faults = Vec::new();
        let made_before = |id| made.orders.get(id).filter(|(_, place)| *place < at);
        let id = element.id.as_deref();
        let is_known =
            id.is_some_and(|id| self.order_by_id.contains_key(id) || made_before(id).is_some());
        if !is_known {
            faults.extend(element.missing.iter().map(Cow::Borrowed));
        }
        if let (Some(id), Some(number)) = (id, element.external_id) {
            let stored = self.order_by_id.get(id);
            let own = stored
                .map(|index| self.orders[*index].after.number)
                .or_else(|| made.orders.get(id).and_then(|(number, _)| *number));
            if own != Some(number) {
                // What comes in vain is free for an order that comes later.
                let by = made.order_numbers.get(&number);
                let is_made = by.is_some_and(|(by, place)| *by != id && *place < at);
                if self.order_numbers.contains(&number) || is_made {
                    let field = Path::ROOT.field("external_id");
                    faults.push(Cow::Owned(conflict(&field)));
                }
            }
        }
        let is_stranger = element.names_client()
            && self.is_stranger(&element.client, element.has_username, clients_made);
        if is_stranger && !(is_known && element.cancels()) {
            let path = Path::ROOT.field("client");
            let field = path.field("username").to_string();
            faults.push(Cow::Owned(Fault {
                field,
                code: FaultCode::Required,
                hint: Hint::None,
            }));
        }
        (faults, is_stranger)
    }

    /// Whether it is a registered client that we do not know, and nothing says its name.
    fn is_stranger(&self, key: &ClientKey, has_username: bool, made: &Made<'_>) -> bool {
        key.is_registered()
            && !has_username
            && matches!(self.who(key, made), Who::Adopts(_) | Who::New)
    }

    /// Notes what an element without faults makes.
    fn make(&self, at: usize, element: &'e Element, made: &mut Made<'e>) {
        if let Some(id) = element.id.as_deref()
            && !self.order_by_id.contains_key(id)
            && !made.orders.contains_key(id)
        {
            made.orders.insert(id, (element.external_id, at));
            if let Some(number) = element.external_id {
                made.order_numbers.entry(number).or_insert((id, at));
            }
            made.count += 1;
        }
        let client = &element.client;
        if !client.is_registered() || !element.names_client() {
            return;
        }
        match self.who(client, made) {
            Who::Known => return,
            // Of a cancelled order that keeps the client it has.
            Who::Adopts(_) | Who::New if !element.has_username => return,
            Who::TakesId(number) => made.client_numbers.insert(number, true),
            Who::Adopts(number) => made.client_numbers.insert(number, client.id.is_some()),
            Who::New => None,
        };
        made.clients.extend(client.id.as_deref());
        made.count += 1;
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

    /// Applies one element without faults, and says the numbers of its client's addresses if the client was taken. `None`
    /// where that has to wait: its client, or the order that it cancels, is made by another element of the batch, which has
    /// not been applied yet.
    fn apply(
        &mut self,
        id: &'e str,
        element: &'e Element,
        sent: &'e SentOrder,
        received_at: DateTime<Utc>,
    ) -> Option<(Accepted, Option<AddressNumbers>)> {
        let known = self.order_by_id.get(id).copied();
        if known.is_none() && !element.missing.is_empty() {
            return None;
        }
        let is_stranger = element.names_client()
            && self.is_stranger(&element.client, element.has_username, &self.none_made);
        // A cancelled order keeps its client where we do not know the one it came with.
        let keeps_client = known.is_some() && element.cancels() && is_stranger;
        if is_stranger && !keeps_client {
            return None;
        }
        // It may be made further on.
        self.round.may_differ |= keeps_client;

        let mut applied = Accepted {
            warnings: element.warnings.clone(),
            ..Accepted::default()
        };
        let warnings = &mut applied.warnings;
        if keeps_client || !element.missing.is_empty() {
            warnings.push(Warning::new(&Path::ROOT, WarningCode::KeptAsStored));
        }
        let (client, numbers) = match &sent.client {
            Some(client) if !keeps_client => {
                let index = self.client(&element.client, client, warnings);
                let path = Path::ROOT.field("client");
                let list = path.field("addresses");
                let addresses = client.addresses.iter().enumerate();
                let numbers = addresses.map(|(place, address)| {
                    self.address(index, address, list.index(place), warnings)
                });
                (index, Some(numbers.collect()))
            }
            _ => {
                let order = &self.orders[known?].after;
                let index = *self.client_by_number.get(&order.client_number)?;
                (index, None)
            }
        };
        let destination = sent
            .shipping_address
            .as_ref()
            .map(|address| self.shipping_address(known, client, address, warnings));
        let items = sent.items.as_deref().filter(|items| !items.is_empty());
        let items = items.map(|items| (items, self.products(items, warnings)));
        let goes_to = self.clients[client].after.number;
        applied.order = if let Some(index) = known {
            let order = &mut self.orders[index].after;
            let moves = destination.as_ref().is_some_and(|to| to.content.is_some());
            self.round.may_differ |= moves && self.round.kept_an_address;
            change(order, element, sent, goes_to, destination, warnings);
            index
        } else {
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
            let order = new_order(number, id, sent, goes_to, destination?, received_at)?;
            self.order_numbers.insert(number);
            self.order_by_id.insert(id, self.orders.len());
            self.orders.push(Record::new(order));
            self.orders.len() - 1
        };
        let order = &mut self.orders[applied.order].after;
        sent_content(order, sent);
        if let Some((items, products)) = items {
            sent_items(order, items, &products);
        }
        Some((applied, numbers))
    }

    /// The client that an element names, by the contract's rules (§4), and whether its number was left alone.
    fn find_client(&self, key: &ClientKey) -> (Found, bool) {
        if !key.is_registered() {
            let phone = key.phone.as_deref();
            let found = phone.and_then(|phone| self.guest_by_phone.get(phone));
            return (
                found.map_or(Found::New, |index| Found::There(*index)),
                false,
            );
        }
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
        identify(
            key.id.is_some(),
            by_id,
            key.external_id,
            by_number,
            by_number.is_some(),
        )
    }

    fn client(
        &mut self,
        key: &'e ClientKey,
        sent: &SentClient,
        warnings: &mut Vec<Warning>,
    ) -> usize {
        let (found, left_alone) = self.find_client(key);
        if left_alone {
            let path = Path::ROOT.field("client");
            warnings.push(Warning::new(
                &path.field("external_id"),
                WarningCode::ExternalIdIgnored,
            ));
        }
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
                // Whoever came as that guest before is a new one, sent again.
                self.round.may_differ = true;
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
            Found::New if sent.id.is_none() => {
                self.round.looked_at_addresses = true;
                self.by_content(client, sent)
                    .map_or(Found::New, Found::There)
            }
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
            self.round.looked_at_addresses |= sent.number.is_some();
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
            let is_same_door = sent.is_at(&self.clients[client].after.addresses[at].content);
            self.put_address(client, &Found::There(at), sent);
            self.round.looked_at_addresses = true;
            let content = own.unwrap_or_else(|| {
                // The flat of one house is not that of another.
                if !is_same_door {
                    return Some(sent.content());
                }
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
            self.round.kept_an_address = true;
            let number = order.address_number;
            if number.is_none() {
                warnings.push(Warning::new(&path, WarningCode::TooMany));
            }
            return Destination {
                number,
                content: None,
            };
        }
        // At the same door what did not come stays: only its spelling changed, or a part of it.
        let respelled = order
            .map(|order| &order.shipping_address)
            .filter(|own| sent.is_at(own))
            .map(|own| {
                let mut content = own.clone();
                sent.apply(&mut content);
                content
            });
        self.round.looked_at_addresses = true;
        let found = self
            .by_content(client, sent)
            .map_or(Found::New, Found::There);
        let number = self.put_address(client, &found, sent);
        if number.is_none() {
            warnings.push(Warning::new(&path, WarningCode::TooMany));
        }
        Destination {
            number,
            content: Some(respelled.unwrap_or_else(|| sent.content())),
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
                self.round.may_differ |= self.round.looked_at_addresses;
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
            Found::Adopt(number) => {
                // Of several equal ones the lowest number counts.
                self.round.may_differ |= self.round.looked_at_addresses;
                number
            }
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

/// Changes a known order, but for what [`sent_content`] does.
fn change(
    order: &mut Arc<Order>,
    element: &Element,
    sent: &SentOrder,
    client_number: i32,
    destination: Option<Destination>,
    warnings: &mut Vec<Warning>,
) {
    let root = Path::ROOT;
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
    if order.client_number != client_number {
        Arc::make_mut(order).client_number = client_number;
        warnings.push(Warning::new(
            &root.field("client"),
            WarningCode::ClientChanged,
        ));
    }
    if let Some(Destination { number, content }) = destination {
        put(
            order,
            &number,
            |o| &o.address_number,
            |o| &mut o.address_number,
        );
        if let Some(content) = &content {
            put(
                order,
                content,
                |o| &o.shipping_address,
                |o| &mut o.shipping_address,
            );
        }
    }
    if let Some(total) = &sent.total {
        put(order, total, |o| &o.total, |o| &mut o.total);
    }
    if let Some((from, to)) = &sent.shipping_dates {
        put(
            order,
            from,
            |o| &o.shipping_date_from,
            |o| &mut o.shipping_date_from,
        );
        put(
            order,
            to,
            |o| &o.shipping_date_to,
            |o| &mut o.shipping_date_to,
        );
    }
    if let Some(created_at) = &sent.created_at {
        put(order, created_at, |o| &o.created_at, |o| &mut o.created_at);
    }
}

/// A new order without what [`sent_content`] and [`sent_items`] add. `None` where something is missing that it must have.
fn new_order(
    number: i32,
    id: &str,
    sent: &SentOrder,
    client_number: i32,
    destination: Destination,
    received_at: DateTime<Utc>,
) -> Option<Order> {
    let (shipping_date_from, shipping_date_to) = sent.shipping_dates?;
    Some(Order {
        number,
        uuid: Uuid::now_v7(),
        version: 1,
        sender_id: id.to_owned(),
        status: sent.status,
        client_number,
        shipping_address: destination.content?,
        address_number: destination.number,
        created_at: sent.created_at.unwrap_or(received_at),
        total: sent.total?,
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
    })
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

/// The content that may be absent or cleared.
fn sent_content(order: &mut Arc<Order>, sent: &SentOrder) {
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
}

/// The lines with their products, which replace the list.
fn sent_items(order: &mut Arc<Order>, items: &[SentItem], products: &[Option<i32>]) {
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
mod tests;
