//! What became of an order: who made it, who changed it from what to what, what of it was rejected, who sent it again.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    faults::{in_words, path_title},
    page::base,
    refusal::Refusal,
    session::Desk,
    shown,
    texts::texts,
};
use crate::{
    order::{
        fault::Language,
        model::{Order, Status},
        zone::Zone,
    },
    store::{
        feed::Receiver,
        journal::{Filter, KeptOrder},
    },
};

/// Rejected attempts of one order that are shown.
const KEPT: i64 = 50;

/// Something that happened to an order.
pub(super) struct Event {
    at: Option<DateTime<Utc>>,
    pub when: String,
    pub what: &'static str,
    pub class: &'static str,
    pub who: String,
    pub details: Vec<String>,
    /// As it came.
    pub body: Option<String>,
    /// Where the page of a rejected attempt, or of remarks, is.
    pub kept: Option<String>,
    /// The same of remarks that nobody has settled.
    pub open_remark: Option<String>,
}

/// `receiver`: what 1C said last, and when.
pub(super) async fn events(
    desk: &Desk,
    order: &Order,
    receiver: Option<&(Receiver, DateTime<Utc>)>,
) -> Result<Vec<Event>, Refusal> {
    let (store, name) = (desk.store(), desk.publication.name.as_str());
    let (language, zone) = (desk.visit.language, desk.publication.rules.timezone);
    let t = texts(language);
    let actions = store.operator_actions_of(name, order.number).await?;
    let mut events = Vec::new();
    let mut add = |at: Option<DateTime<Utc>>, event: Event| {
        events.push(Event {
            at,
            when: at.map_or_else(String::new, |at| shown::moment(at, zone)),
            ..event
        });
    };
    if let Some(made) = store.order_creation(name, order.number).await? {
        let at = made.received_at.or_else(|| made.batch.and_then(made_at));
        let who = made.login.unwrap_or_else(|| t.by_sender.to_owned());
        add(at, Event::new(t.event_made, "good", who));
    }
    for change in store.order_changes(name, order.number).await? {
        let who = match (change.batch, change.login, change.request_id) {
            (Some(_), login, _) => login.unwrap_or_else(|| t.by_sender.to_owned()),
            (None, Some(login), Some(_)) => format!("1С ({login})"),
            // An operator's click is no request of the exchange.
            (None, Some(login), None) => login,
            (None, None, _) => t.by_command.to_owned(),
        };
        let event = Event {
            details: differences(&change.changes, language, zone),
            ..Event::new(t.event_changed, "info", who)
        };
        add(Some(change.made_at), event);
    }
    for action in actions.iter().filter(|action| action.kind == "resend") {
        let target = action.details["target"].as_str().unwrap_or_default();
        let event = Event {
            details: vec![format!("→ {target}")],
            ..Event::new(t.event_resent, "info", action.login.clone())
        };
        add(Some(action.made_at), event);
    }
    if let Some((receiver, said_at)) = receiver {
        let number = receiver.number.as_ref();
        let number = number.map(|number| format!("{}: {number}", t.number));
        let class = if receiver.error.is_some() {
            "bad"
        } else {
            "good"
        };
        let event = Event {
            details: number.into_iter().chain(receiver.error.clone()).collect(),
            ..Event::new(t.event_reported, class, t.back_office.to_owned())
        };
        add(Some(*said_at), event);
    }
    let filter = Filter {
        order_key: Some(order.sender_id.clone()),
        limit: KEPT,
        ..Filter::default()
    };
    for kept in store.journal_orders(name, None, &filter).await? {
        let at = kept.received_at;
        let page = format!("{}/kept/{}/{}", base(name), kept.batch, kept.position);
        add(Some(at), Event::of_kept(kept, page, language));
    }
    // Of one moment: in the order in which they were found. The newest first.
    events.sort_by_key(|event| event.at);
    events.reverse();
    Ok(events)
}

impl Event {
    fn new(what: &'static str, class: &'static str, who: String) -> Self {
        Self {
            at: None,
            when: String::new(),
            what,
            class,
            who,
            details: Vec::new(),
            body: None,
            kept: None,
            open_remark: None,
        }
    }

    fn of_kept(kept: KeptOrder, page: String, language: Language) -> Self {
        let t = texts(language);
        let details = kept.entries().map(|entry| in_words(entry, language));
        let details = details.collect();
        let (what, class) = match &kept.warnings {
            Some(_) => (t.event_remarks, "warn"),
            None => (t.event_rejected, "bad"),
        };
        let who = kept.login.unwrap_or_else(|| t.by_sender.to_owned());
        Self {
            details,
            open_remark: (kept.warnings.is_some() && kept.settled_at.is_none())
                .then(|| page.clone()),
            kept: Some(page),
            body: Some(kept.body).filter(|body| !body.is_empty()),
            ..Self::new(what, class, who)
        }
    }
}

/// When a UUID v7 was made.
fn made_at(id: uuid::Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}

/// `Сумма: 710 → 720`, moments in the publication's time.
fn differences(changes: &Value, language: Language, zone: Zone) -> Vec<String> {
    let told = |field: &str, value: &Value| match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => match (DateTime::parse_from_rfc3339(text), Status::parse(text)) {
            (Ok(moment), _) => shown::moment(moment.to_utc(), zone),
            (_, Some(status)) if field == "status" => texts(language).status(status).to_owned(),
            _ if field == "payment_type" => texts(language).payment_type(text).to_owned(),
            _ if is_amount(field) => text.parse().map_or_else(
                |_no_amount| text.clone(),
                |amount| shown::money(amount, language),
            ),
            _ => text.clone(),
        },
        Value::Bool(true) => texts(language).yes.to_owned(),
        Value::Bool(false) => texts(language).no.to_owned(),
        // A line that came or went.
        Value::Object(line) => {
            let part = |name: &str| line.get(name).and_then(Value::as_str);
            let name = part("name").or(part("product_id")).unwrap_or_default();
            let quantity = line.get("quantity").unwrap_or(&Value::Null);
            format!("{name} × {quantity}, {}", part("price").unwrap_or_default())
        }
        other => other.to_string(),
    };
    let changes = changes.as_object().into_iter().flatten();
    changes
        .map(|(field, change)| {
            let (from, to) = (told(field, &change[0]), told(field, &change[1]));
            format!("{}: {from} → {to}", path_title(field, language))
        })
        .collect()
}

fn is_amount(field: &str) -> bool {
    let name = field.rsplit('.').next().unwrap_or(field);
    matches!(name, "total" | "delivery_cost" | "price")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_told_in_the_words_of_the_description() {
        let changes = json!({
            "status": ["new", "approved"],
            "order_item_list[1].price": ["10", "20"],
            "order_item_list[2]": [null, { "product_id": "a", "name": null, "price": "5", "quantity": 2 }],
            "shipping_date_from": ["2026-11-26T06:00:00Z", null],
            "other": [1, 2],
            "total": ["2130", "1420.50"],
            "payment_status": [false, true],
            "payment_type": ["cash", "card"],
        });
        let told = differences(
            &changes,
            Language::Ru,
            crate::order::zone::zone("Europe/Moscow"),
        );
        assert!(told.iter().any(|line| line == "other: 1 → 2"), "{told:?}");
        let has = |part: &str| told.iter().any(|line| line.contains(part));
        assert!(has(": Новый → Принят"), "{told:?}");
        assert!(
            has("Сумма: 2\u{a0}130\u{a0}₽ → 1\u{a0}420,50\u{a0}₽"),
            "{told:?}"
        );
        assert!(
            has("Оплачен: нет → да") && has("Оплата: наличные → картой"),
            "{told:?}"
        );
        assert!(has("Строка 2, "), "{told:?}");
        assert!(has("Строка 3: – → a × 2, 5"), "{told:?}");
        assert!(has(": 26.11.2026 09:00 → –"), "{told:?}");
    }
}
