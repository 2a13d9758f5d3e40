//! `journal order`: what became of one order.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    search::{away, everything},
    shown::{codes, lines, or_dash, rfc3339},
};
use crate::{
    cli::{
        CommandError,
        order::{Which, find_any},
        text::{Table, clean},
    },
    config::Publication,
    order::{datetime, zone::Zone},
    store::{Store, journal::Filter},
};

struct Event {
    at: Option<DateTime<Utc>>,
    what: &'static str,
    details: Vec<String>,
    batch: Option<Uuid>,
    request_id: Option<String>,
    login: Option<String>,
    json: Value,
}

/// When a UUID v7 was made.
fn made_at(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}

pub(super) async fn history(
    which: &Which,
    json: bool,
    publication: &Publication,
    store: &Store,
) -> Result<String, CommandError> {
    let name = &publication.name;
    // One that was only ever rejected is not found, and has a history all the same.
    let order = find_any(which, publication, store).await?;
    let mut events = Vec::new();
    let mut sender_id = which.id.clone();
    if let Some(order) = &order {
        sender_id.clone_from(&order.sender_id);
        if let Some(made) = store
            .order_creation(name, order.number)
            .await
            .map_err(away)?
        {
            events.push(Event {
                at: made.received_at.or_else(|| made.batch.and_then(made_at)),
                what: "accepted, new",
                details: Vec::new(),
                batch: made.batch,
                request_id: made.request_id,
                login: made.login,
                json: json!({ "event": "created" }),
            });
        }
        for change in store
            .order_changes(name, order.number)
            .await
            .map_err(away)?
        {
            events.push(Event {
                at: Some(change.made_at),
                what: match change.batch {
                    Some(_) => "accepted, changed",
                    None if change.version == 1 => "corrected before",
                    None => "by hand",
                },
                details: differences(&change.changes, publication.rules.timezone),
                batch: change.batch,
                request_id: change.request_id,
                login: change.login,
                json: json!({ "event": "changed", "changes": change.changes }),
            });
        }
        let refusals = store.order_refusals(name, order.number).await;
        for refusal in refusals.map_err(away)? {
            let who = refusal.target.as_deref().unwrap_or("back office");
            events.push(Event {
                at: Some(refusal.refused_at),
                what: "not taken",
                details: vec![format!("{who}: {}", refusal.error)],
                batch: None,
                request_id: None,
                login: None,
                json: json!({ "event": "not_taken", "target": refusal.target, "error": refusal.error }),
            });
        }
    }
    let filter = Filter {
        order_key: Some(sender_id.clone()),
        ..everything()
    };
    let kept = store
        .journal_orders(name, None, &filter)
        .await
        .map_err(away)?;
    for order in kept {
        let (event, what) = match order.warnings {
            Some(_) => ("remarks", "accepted with remarks"),
            None => ("rejected", "rejected"),
        };
        events.push(Event {
            at: Some(order.received_at),
            what,
            details: vec![codes(&order)],
            json: json!({
                "event": event, "place": order.position, "errors": order.faults,
                "warnings": order.warnings.as_ref().unwrap_or(&json!([])), "body": order.body
            }),
            batch: Some(order.batch),
            request_id: Some(order.request_id),
            login: order.login,
        });
    }
    if events.is_empty() {
        return Err(format!(
            "{name} has no order {}, and none was rejected",
            which.id
        ));
    }
    // Of one moment: in the order in which they were found.
    events.sort_by_key(|event| event.at);
    Ok(if json {
        lines(events.into_iter().map(|event| {
            let mut object = event.json;
            object["at"] = event.at.map(rfc3339).into();
            object["batch"] = json!(event.batch);
            object["request_id"] = json!(event.request_id);
            object["user"] = json!(event.login);
            object["order"] = json!(sender_id);
            object["number"] = json!(order.as_ref().map(|order| order.number));
            object["publication"] = json!(name);
            object
        }))
    } else {
        let title = match &order {
            Some(order) => format!(
                "order {} ({}) of {name}: {}\n\n",
                order.number,
                clean(&order.sender_id),
                order.status.as_str()
            ),
            None => format!(
                "{name} has no order {}; it was rejected:\n\n",
                clean(&sender_id)
            ),
        };
        title + &event_table(events, publication.rules.timezone)
    })
}

fn event_table(events: Vec<Event>, zone: Zone) -> String {
    let mut table = Table::new(&["when", "what", "", "user", "request id"]);
    for event in events {
        let mut details = event.details.into_iter();
        table.row([
            event
                .at
                .map_or_else(|| or_dash(None), |at| datetime::print(at, zone)),
            event.what.to_owned(),
            details.next().unwrap_or_default(),
            or_dash(event.login.as_deref()),
            match (event.request_id, event.batch) {
                (Some(id), _) => id,
                (None, Some(batch)) => format!("batch {batch}, not in the journal any more"),
                (None, None) => or_dash(None),
            },
        ]);
        for more in details {
            table.row([String::new(), String::new(), more]);
        }
    }
    table.print()
}

/// `total: 710 → 720`, moments in that zone.
fn differences(changes: &Value, zone: Zone) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => match DateTime::parse_from_rfc3339(text) {
            Ok(moment) => datetime::print(moment.to_utc(), zone),
            Err(_) => text.clone(),
        },
        other => other.to_string(),
    };
    let changes = changes.as_object().into_iter().flatten();
    changes
        .map(|(field, change)| format!("{field}: {} → {}", shown(&change[0]), shown(&change[1])))
        .collect()
}
