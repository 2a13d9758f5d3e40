//! The journal's rows, as the intake makes them.

use chrono::{DateTime, Utc};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

/// The journal's row of one batch.
#[derive(Debug, Clone)]
pub struct BatchRow {
    /// Its id, ours.
    pub batch: Uuid,
    /// When its body was read.
    pub received_at: DateTime<Utc>,
    pub request_id: String,
    /// Who sent it; `None` when anonymous.
    pub login: Option<String>,
    /// Entries in the answer.
    pub orders: usize,
    pub accepted: usize,
    pub rejected: usize,
    /// Accepted orders with remarks: something that came was not taken as it came.
    pub with_remarks: usize,
    /// What it takes of the day's budget for orders that are kept.
    pub kept_bytes: usize,
    /// Whether it was only tried out.
    pub dry_run: bool,
}

/// The journal's row of one order of which something was not taken: rejected, or accepted with remarks.
#[derive(Debug, Clone)]
pub struct KeptRow<'a> {
    pub batch: Uuid,
    /// The element's place in it.
    pub position: usize,
    /// The key it was answered under.
    pub key: String,
    /// As received.
    pub body: &'a str,
    /// As answered, without the messages that go with a code; an empty list of an accepted order.
    pub faults: Box<RawValue>,
    /// All warnings of an accepted order, with their messages; `None` of a rejected one.
    pub warnings: Option<Box<RawValue>>,
    /// The version of the order that the batch leaves behind, if there is such an order; 0 where a later element of the
    /// transaction names it, too.
    pub order_version: Option<i32>,
    /// The same of its client.
    pub client_version: Option<i32>,
    /// How many more elements of the batch, without an id of their own, are the same.
    pub repeated: usize,
}

/// The journal's row of one change of an order.
#[derive(Debug, Clone)]
pub struct ChangeRow<'a> {
    pub order_number: i32,
    /// The version that it leaves behind.
    pub version: i32,
    /// When the batch came in.
    pub made_at: DateTime<Utc>,
    /// The batch that changed it.
    pub batch: Uuid,
    pub request_id: &'a str,
    /// Who sent it; `None` when anonymous.
    pub login: Option<&'a str>,
    /// What changed ([`crate::order::history`]).
    pub changes: Value,
}
