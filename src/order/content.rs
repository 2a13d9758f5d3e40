//! What a sender may say of an order and need not (contract §3, §5): as stored, as sent, and the one written over the other.
//!
//! A new optional field of the order begins here; `docs/ARCHITECTURE.md` says where it goes on.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sent::Sent;

/// `ask_for_checkout`: kept and echoed as sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Checkout {
    /// `true` or `false`
    Flag(bool),
    /// `bill`, `agreement` or another text.
    Text(String),
}

/// An order's optional content, as stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OrderContent {
    /// Roubles.
    pub delivery_cost: Option<Decimal>,
    /// Points spent.
    pub coins: Option<Decimal>,
    /// As sent.
    pub payment_type: Option<String>,
    /// Paid?
    pub payment_status: bool,
    /// As sent.
    pub comment: Option<String>,
    /// Empty bottles to take back.
    pub count_of_returned_bottles: i32,
    /// As sent.
    pub ask_for_checkout: Option<Checkout>,
}

/// The same, as sent.
#[derive(Debug, Clone)]
pub struct SentContent {
    pub(super) delivery_cost: Sent<Decimal>,
    pub(super) coins: Sent<Decimal>,
    pub(super) payment_type: Sent<String>,
    pub(super) payment_status: Sent<bool>,
    pub(super) comment: Sent<String>,
    pub(super) count_of_returned_bottles: Sent<i32>,
    pub(super) ask_for_checkout: Sent<Checkout>,
}

/// The value of a field, to show to a person.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    Amount(Option<Decimal>),
    Text(Option<&'a str>),
    Flag(bool),
    Integer(i32),
    Checkout(Option<&'a Checkout>),
}

impl Shown<'_> {
    /// As a text; `None` where there is nothing.
    #[must_use]
    pub fn text(self) -> Option<String> {
        match self {
            Self::Amount(amount) => amount.map(|amount| amount.normalize().to_string()),
            Self::Text(text) => text.map(str::to_owned),
            Self::Flag(flag) => Some(flag.to_string()),
            Self::Integer(integer) => Some(integer.to_string()),
            Self::Checkout(checkout) => checkout.map(|checkout| match checkout {
                Checkout::Flag(flag) => flag.to_string(),
                Checkout::Text(text) => text.clone(),
            }),
        }
    }

    /// As JSON, amounts as texts: they are exact decimals.
    #[must_use]
    pub fn json(self) -> Value {
        match self {
            Self::Amount(_) => json!(self.text()),
            Self::Text(text) => json!(text),
            Self::Flag(flag) => json!(flag),
            Self::Integer(integer) => json!(integer),
            Self::Checkout(checkout) => json!(checkout),
        }
    }
}

impl OrderContent {
    /// Every field with its name on the wire.
    #[must_use]
    pub fn fields(&self) -> [(&'static str, Shown<'_>); 7] {
        let Self {
            delivery_cost,
            coins,
            payment_type,
            payment_status,
            comment,
            count_of_returned_bottles,
            ask_for_checkout,
        } = self;
        [
            ("delivery_cost", Shown::Amount(*delivery_cost)),
            ("coins", Shown::Amount(*coins)),
            ("payment_type", Shown::Text(payment_type.as_deref())),
            ("payment_status", Shown::Flag(*payment_status)),
            ("comment", Shown::Text(comment.as_deref())),
            (
                "count_of_returned_bottles",
                Shown::Integer(*count_of_returned_bottles),
            ),
            (
                "ask_for_checkout",
                Shown::Checkout(ask_for_checkout.as_ref()),
            ),
        ]
    }

    /// How long its texts are.
    #[must_use]
    pub fn bytes(&self, length: impl Fn(&str) -> usize) -> usize {
        let texts = self.fields().map(|(_, value)| match value {
            Shown::Text(Some(text)) => length(text),
            Shown::Checkout(Some(Checkout::Text(text))) => length(text),
            _ => 0,
        });
        texts.iter().sum()
    }
}

impl SentContent {
    /// Whether [`Self::apply`] would change what is stored.
    pub(super) fn changes(&self, stored: &OrderContent) -> bool {
        self.delivery_cost.changes(stored.delivery_cost.as_ref())
            || self.coins.changes(stored.coins.as_ref())
            || self.payment_type.changes(stored.payment_type.as_ref())
            || self
                .payment_status
                .changes_or(&stored.payment_status, &false)
            || self.comment.changes(stored.comment.as_ref())
            || (self.count_of_returned_bottles).changes_or(&stored.count_of_returned_bottles, &0)
            || (self.ask_for_checkout).changes(stored.ask_for_checkout.as_ref())
    }

    /// Writes what was sent over what is stored, field by field.
    pub(super) fn apply(&self, stored: &mut OrderContent) {
        self.delivery_cost.apply(&mut stored.delivery_cost);
        self.coins.apply(&mut stored.coins);
        self.payment_type.apply(&mut stored.payment_type);
        (self.payment_status).apply_or(&mut stored.payment_status, false);
        self.comment.apply(&mut stored.comment);
        (self.count_of_returned_bottles).apply_or(&mut stored.count_of_returned_bottles, 0);
        self.ask_for_checkout.apply(&mut stored.ask_for_checkout);
    }
}
