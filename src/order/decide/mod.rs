//! What is stored + what was sent -> what to write, and what becomes of each order (contract §4, §5). Pure.
//!
//! Elements are applied in their order to a picture of the stored records; what to write is the difference between
//! the picture before and after. So an order sent twice in a batch, clients shared by orders and a change that is
//! taken back need no rules of their own but the two of `same_batch.rs`, and what changes nothing writes nothing.

mod address;
mod apply;
mod client;
mod faults;
mod numbers;
mod order;
mod picture;
mod same_batch;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, hash::Hash, mem};

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use self::numbers::{FreeNumbers, Shortage};
use self::{picture::Picture, same_batch::SameBatch};
use super::{
    fault::{Fault, Remark, Warning, WarningCode},
    known::Known,
    model::{Client, Order},
    record::Record,
    wire::Element,
};

/// A batch to decide on.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Its elements, in their order.
    pub elements: &'a [Element],
    /// When it came in: the `created_at` of new orders that bring none.
    pub received_at: DateTime<Utc>,
    /// Entries ([`Element::entry`]) that the database was seen to refuse.
    pub refused: &'a HashSet<usize>,
    /// Entries to leave out altogether, when looking for the one that the database refuses.
    pub skipped: &'a HashSet<usize>,
}

/// Why there is no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    /// Numbers ran out: get more, decide again.
    Short(Shortage),
    /// It was told to stop.
    Stopped,
}

/// What became of one entry of the answer: of all elements with one order's id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// Its order, an index into [`Decision::orders`]; `None` where nothing of it was taken.
    pub order: Option<usize>,
    /// What became of each of its elements, in their order.
    pub elements: Vec<Outcome>,
}

/// What became of one element.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is stored.
    Taken(Taken),
    /// Nothing of it is stored, and why.
    Refused(Vec<Fault>),
}

/// What is to be said of an element that is stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Taken {
    /// Its warnings.
    pub warnings: Vec<Warning>,
    /// The number of the client whose order it is by this element. `None` of a cancellation of which nothing but the status was
    /// taken: it may be somebody else's.
    pub client: Option<i32>,
    /// The numbers of its client's addresses. `None` where nothing of its client was taken: a cancellation that came without one,
    /// or with one that we do not know.
    pub addresses: Option<AddressNumbers>,
    /// It was taken, and what came behind it refuses it when the batch is sent again. It is answered as it is then.
    pub is_refused_again: bool,
}

/// Of each address in a client's list, in the order in which they were sent: our number; `None` where it found no room.
pub type AddressNumbers = Vec<Option<i32>>;

impl Outcome {
    /// What is to be said of it if its order is stored.
    pub fn remarks(&self) -> impl Iterator<Item = Remark<'_>> {
        let (warnings, faults) = match self {
            Self::Taken(taken) => (&taken.warnings[..], &[][..]),
            Self::Refused(faults) => (&[][..], &faults[..]),
        };
        let warnings = warnings.iter().map(Remark::Warning);
        warnings.chain(faults.iter().map(Remark::NotTaken))
    }

    /// The element was refused, perhaps once more. What came behind it neither adds a fault nor leaves one that it cured.
    fn refuse(&mut self, mut faults: Vec<Fault>) {
        if let Self::Refused(earlier) = self {
            let earlier: HashSet<&Fault> = earlier.iter().collect();
            if faults.iter().any(|fault| earlier.contains(fault)) {
                faults.retain(|fault| earlier.contains(fault));
            }
        }
        *self = Self::Refused(faults);
    }

    /// The element was taken, perhaps once more. That its order moved is to be said, though it has moved by now.
    fn take(&mut self, mut taken: Taken) {
        let moved = |warning: &Warning| warning.code == WarningCode::ClientChanged;
        if let Self::Taken(earlier) = self
            && !taken.warnings.iter().any(moved)
        {
            let mut earlier = mem::take(&mut earlier.warnings);
            earlier.retain(moved);
            taken.warnings.append(&mut earlier);
        }
        *self = Self::Taken(taken);
    }

    /// Whether something of it is not stored: a value was left out, rounded or shortened, or it was refused as a whole.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        match self {
            Self::Taken(taken) => taken.warnings.iter().any(Warning::is_loss),
            Self::Refused(_) => true,
        }
    }
}

impl Verdict {
    /// Whether the order is stored.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.order.is_some()
    }

    /// Whether the order is stored without something that came: a value of it, or a whole element.
    #[must_use]
    pub fn has_remarks(&self) -> bool {
        self.is_accepted() && self.elements.iter().any(Outcome::is_loss)
    }

    /// Whether an element of it was taken as one of that client's.
    #[must_use]
    pub fn is_of(&self, client: i32) -> bool {
        let is_its = |outcome: &Outcome| matches!(outcome, Outcome::Taken(taken) if taken.client == Some(client));
        self.elements.iter().any(is_its)
    }

    /// All that is wrong with an order that is not stored, each fault once.
    #[must_use]
    pub fn faults(&self) -> Vec<&Fault> {
        let faults = self.elements.iter().flat_map(|outcome| match outcome {
            Outcome::Taken(_) => &[][..],
            Outcome::Refused(faults) => faults,
        });
        self.each_once(faults)
    }

    /// All that is to be said of an order that is stored, each remark once.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark<'_>> {
        self.each_once(self.elements.iter().flat_map(Outcome::remarks))
    }

    fn each_once<T: Copy + Eq + Hash>(&self, all: impl Iterator<Item = T>) -> Vec<T> {
        // Nearly every order comes once.
        if self.elements.len() == 1 {
            return all.collect();
        }
        let mut told = HashSet::new();
        all.filter(|one| told.insert(*one)).collect()
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

/// So often a batch is applied at most. Nothing that we know of takes more than five.
const MOST_ROUNDS: usize = 8;

/// Decides on batches of one publication that are to be stored in one transaction, in their order of arrival. A client
/// is given no more than `most_addresses`; `new_uuid` is asked once for each new order. `go_on` is asked now and then, for a
/// large batch takes a while.
///
/// # Errors
/// [`Undecided::Short`] when `numbers` ran out. What was taken of them stays taken; the caller gives them again.
/// [`Undecided::Stopped`] when `go_on` said no.
pub fn decide<'a: 'e, 'e>(
    known: &'a Known,
    batches: &[Batch<'e>],
    numbers: &mut FreeNumbers,
    most_addresses: usize,
    new_uuid: fn() -> Uuid,
    go_on: &dyn Fn() -> bool,
) -> Result<Decision<'a>, Undecided> {
    let elements = batches.iter().flat_map(|batch| batch.elements);
    let mut picture = Picture::new(known, numbers, elements, most_addresses, new_uuid);
    let mut verdicts = Vec::with_capacity(batches.len());
    for batch in batches {
        verdicts.push(decide_batch(&mut picture, batch, go_on)?);
    }
    let (orders, clients) = picture.finish().map_err(Undecided::Short)?;
    Ok(Decision {
        orders,
        clients,
        verdicts,
    })
}

/// An entry for each distinct order's id, in the order of first appearance, and for each element without a usable id (contract
/// §2). Nothing is taken yet.
fn verdicts_of(elements: &[Element]) -> Vec<Verdict> {
    let mut verdicts = Vec::with_capacity(elements.len());
    for element in elements {
        if element.entry == verdicts.len() {
            verdicts.push(Verdict::default());
        }
        let entry: &mut Verdict = &mut verdicts[element.entry];
        entry.elements.push(Outcome::Refused(Vec::new()));
    }
    verdicts
}

/// Applies a batch element by element, and says what becomes of its entries. Each element is taken or refused by itself.
///
/// The batch is applied again while that changes something. Sent again it would, and must not (contract §4): an element may
/// need a client that a later one makes, an address that one found by its content may have got another content by a later
/// one, a guest an id. Nearly no batch has any of that, and is applied once.
fn decide_batch<'a: 'e, 'e>(
    picture: &mut Picture<'a, 'e, '_>,
    batch: &Batch<'e>,
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<Verdict>, Undecided> {
    let mut verdicts = verdicts_of(batch.elements);
    let mut same_batch = SameBatch::new(batch.elements);
    let mut state = None;
    for _ in 0..MOST_ROUNDS {
        for (at, element) in batch.elements.iter().enumerate() {
            if at % ASK_EVERY == 0 && !go_on() {
                return Err(Undecided::Stopped);
            }
            let verdict = &mut verdicts[element.entry];
            let outcome = &mut verdict.elements[element.nth];
            if batch.skipped.contains(&element.entry) {
                continue;
            }
            let taken = if batch.refused.contains(&element.entry) && element.faults.is_empty() {
                Err(vec![faults::of_database()])
            } else if same_batch.is_before_its_order(element) {
                Err(same_batch::lacks(element))
            } else {
                picture.take(element, at, &mut same_batch, batch.received_at)
            };
            match taken {
                Ok((order, taken)) => {
                    verdict.order = Some(order);
                    outcome.take(taken);
                }
                Err(faults) => match outcome {
                    Outcome::Taken(taken) => taken.is_refused_again = true,
                    Outcome::Refused(_) => outcome.refuse(faults),
                },
            }
        }
        if !picture.end_round() {
            break;
        }
        // Whatever begins where the round before began ends where that ended.
        let now = picture.state();
        if state.as_ref() == Some(&now) {
            break;
        }
        state = Some(now);
    }
    Ok(verdicts)
}
