//! What both benchmarks run: the stages that a batch goes through between its bytes and its response, the database left
//! out, each on its own and over the same made-up orders.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hint::black_box,
    sync::Arc,
};

use aqua_orders::{
    load::orders::Orders,
    order::{
        Rules,
        decide::{self, Decision, FreeNumbers, Verdict},
        diff,
        fault::Language,
        known::{Keys, Known},
        phone::Region,
        reply::{Envelope, Stored},
        wire::{self, Element},
    },
};
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use uuid::Uuid;

/// What comes in, and what is stored already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Nothing of it is stored.
    New,
    /// All of it is stored, just as it comes.
    Unchanged,
    /// Every order has two faults.
    Rejected,
}

impl Case {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

/// A stage, and the cases between which it differs.
pub struct Stage {
    /// For tables.
    pub name: &'static str,
    /// The cases worth measuring.
    pub cases: &'static [Case],
    /// Does the work of the stage once, the freeing of what it made included: the service pays for that too.
    pub run: fn(&Batch),
}

/// All stages, in the order in which a batch goes through them.
pub const STAGES: [Stage; 5] = [
    Stage {
        name: "decode",
        cases: &[Case::New, Case::Rejected],
        run: decode,
    },
    Stage {
        name: "keys",
        cases: &[Case::New],
        run: keys,
    },
    Stage {
        name: "decide",
        cases: &[Case::New, Case::Unchanged, Case::Rejected],
        run: decide,
    },
    Stage {
        name: "diff",
        cases: &[Case::New, Case::Unchanged],
        run: diff,
    },
    Stage {
        name: "answer",
        cases: &[Case::New, Case::Rejected],
        run: answer,
    },
];

/// A batch, and what every stage of it starts from.
pub struct Batch {
    body: Vec<u8>,
    elements: Vec<Element>,
    known: &'static Known,
    numbers: FreeNumbers,
    decision: Decision<'static>,
    verdicts: Vec<Verdict>,
    stored: Stored,
}

fn rules() -> Rules {
    Rules {
        timezone: aqua_orders::config::zone("Europe/Moscow").expect("a zone"),
        phone_region: Region::Ru,
        payment_types: Some(vec!["cash".into(), "card".into()]),
        loyalty_system_is_active: false,
        answers_stored: true,
        anybody_may_post: false,
        max_order_items: 500,
        max_client_addresses: 100,
    }
}

thread_local! {
    static RULES: Rules = rules();
}

/// Makes `count` batches of `size` orders each. Single orders differ in cost (a guest, a regular client), so that one of
/// them alone would say little.
pub fn batches(case: Case, size: usize, count: usize) -> Vec<Batch> {
    let bad_percent = if case == Case::Rejected { 100 } else { 0 };
    let mut orders = Orders::new("bench".into(), 1, bad_percent);
    (0..count).map(|_| batch(case, &mut orders, size)).collect()
}

fn batch(case: Case, orders: &mut Orders, size: usize) -> Batch {
    let orders: Vec<_> = (0..size).map(|_| orders.order().0).collect();
    let body = serde_json::to_vec(&orders).expect("values are JSON");
    let elements = read(&body);
    let none = Box::leak(Box::new(known(Vec::new(), Vec::new())));
    let numbers = FreeNumbers {
        order: (1..).take(size).collect(),
        client: (1..).take(size).collect(),
        address: (1..).take(2 * size).collect(),
    };
    let first = decided(none, &elements, &numbers);
    let (known, decision) = match case {
        Case::New | Case::Rejected => (&*none, first),
        Case::Unchanged => {
            let stored = Stored::of(&first);
            // Decisions borrow what is known; here it may live as long as the program.
            let known = &*Box::leak(Box::new(known(stored.orders, stored.clients)));
            let decision = decided(known, &elements, &numbers);
            assert!(
                diff::changes(&decision).is_empty(),
                "an unchanged order would be written"
            );
            (known, decision)
        }
    };
    let verdicts = decision.verdicts[0].clone();
    assert!(
        verdicts.len() == size
            && verdicts
                .iter()
                .all(|verdict| verdict.is_accepted() == (case != Case::Rejected)),
        "made-up orders have other verdicts than they should: {verdicts:?}"
    );
    let stored = Stored::of(&decided(known, &elements, &numbers));
    Batch {
        body,
        elements,
        known,
        numbers,
        decision,
        verdicts,
        stored,
    }
}

/// What the store would say.
fn known(
    orders: Vec<Arc<aqua_orders::order::model::Order>>,
    clients: Vec<Arc<aqua_orders::order::model::Client>>,
) -> Known {
    let product = |number: i32| {
        (
            format!("78e66cef-ae2c-11e6-9bf1-{:012}", number - 1),
            number,
        )
    };
    Known {
        now: received_at(),
        orders,
        order_numbers: BTreeSet::new(),
        clients,
        address_numbers: BTreeSet::new(),
        products: (1..=40).map(product).collect(),
        imports: None,
        imported: HashMap::new(),
    }
}

fn received_at() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

/// As `http::body` and `intake` do it.
fn read(body: &[u8]) -> Vec<Element> {
    let text = std::str::from_utf8(body).expect("UTF-8");
    let elements: Vec<&RawValue> = serde_json::from_str(text).expect("an array");
    let mut elements: Vec<_> = RULES.with(|rules| {
        elements
            .into_iter()
            .map(|element| wire::parse(element.get(), rules, usize::MAX))
            .collect()
    });
    wire::number_entries(&mut elements);
    elements
}

fn decided(
    known: &'static Known,
    elements: &[Element],
    numbers: &FreeNumbers,
) -> Decision<'static> {
    let none = HashSet::new();
    let batch = decide::Batch {
        elements,
        received_at: received_at(),
        refused: &none,
        skipped: &none,
    };
    let numbers = &mut numbers.clone();
    decide::decide(known, &[batch], numbers, 100, Uuid::now_v7, &|| true).expect("enough numbers")
}

fn decode(batch: &Batch) {
    black_box(read(black_box(&batch.body)));
}

fn keys(batch: &Batch) {
    let mut keys = Keys::default();
    for element in black_box(&batch.elements) {
        keys.add(element);
    }
    black_box(keys);
}

fn decide(batch: &Batch) {
    black_box(decided(
        black_box(batch.known),
        black_box(&batch.elements),
        &batch.numbers,
    ));
}

fn diff(batch: &Batch) {
    black_box(diff::changes(black_box(&batch.decision)));
}

fn answer(batch: &Batch) {
    RULES.with(|rules| {
        let envelope = Envelope {
            elements: &batch.elements,
            verdicts: &batch.verdicts,
            stored: &batch.stored,
            rules,
            language: Language::Ru,
        };
        black_box(black_box(&envelope).to_json().expect("an answer is JSON"));
    });
}
