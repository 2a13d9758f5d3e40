//! Entries of the journal as JSON and as words.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::{
    cli::text::clean,
    config::Publication,
    store::journal::{JournalBatch, KeptOrder},
};

pub(super) fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("–").to_owned()
}

pub(super) fn rfc3339(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(super) fn lines(objects: impl IntoIterator<Item = Value>) -> String {
    let mut text = String::new();
    for object in objects {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{object}");
    }
    text
}

pub(super) fn batch_json(publication: &Publication, batch: &JournalBatch) -> Value {
    json!({
        "publication": publication.name,
        "batch": batch.batch,
        "received_at": rfc3339(batch.received_at),
        "request_id": batch.request_id,
        "user": batch.login,
        "orders": batch.orders,
        "accepted": batch.accepted,
        "rejected": batch.rejected,
        "with_remarks": batch.with_remarks,
        "dry_run": batch.dry_run,
    })
}

pub(super) fn order_json(publication: &Publication, order: &KeptOrder) -> Value {
    json!({
        "publication": publication.name,
        "batch": order.batch,
        "place": order.position,
        "received_at": rfc3339(order.received_at),
        "request_id": order.request_id,
        "user": order.login,
        "order": order.order_key,
        "number_now": order.order_number,
        "accepted": order.warnings.is_some(),
        "errors": order.faults,
        "warnings": order.warnings.as_ref().unwrap_or(&json!([])),
        "repeated": order.repeated,
        // As text: it need not be JSON that every reader takes.
        "body": order.body,
    })
}

/// A fault or a warning in words: `client.phone: … (required)`.
pub(super) fn in_words(entry: &Value) -> String {
    let part = |name: &str| clean(entry[name].as_str().unwrap_or_default());
    let (message, code) = (part("message"), part("code"));
    match &*part("field") {
        "" => format!("{message} ({code})"),
        field => format!("{field}: {message} ({code})"),
    }
}

/// `client.phone: required` of each fault or warning.
pub(super) fn codes(order: &KeptOrder) -> String {
    let codes: Vec<String> = order
        .entries()
        .map(|entry| {
            let part = |name: &str| entry[name].as_str().unwrap_or_default();
            match part("field") {
                "" => part("code").to_owned(),
                field => format!("{field}: {}", part("code")),
            }
        })
        .collect();
    match codes.len() {
        0..=4 => codes.join(", "),
        more => format!("{}, and {} more", codes[..3].join(", "), more - 3),
    }
}
