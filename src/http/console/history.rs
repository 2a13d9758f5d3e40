//! What became of an order: who made it, who changed it from what to what, what of it was rejected and who corrected that, each time
//! that it was not taken, who sent it again or had it not be sent.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    corrected,
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
        model::{Client, Order, Status},
        reply,
        zone::Zone,
    },
    store::{
        console::ActionRow,
        feed::Receiver,
        journal::{Filter, JournalChange, KeptOrder},
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
    client: &Client,
    receiver: Option<&(Receiver, DateTime<Utc>)>,
) -> Result<Vec<Event>, Refusal> {
    let (store, name) = (desk.store(), desk.publication.name.as_str());
    let (language, zone) = (desk.visit.language, desk.publication.rules.timezone);
    let t = texts(language);
    let mut events = Vec::new();
    let changes = store.order_changes(name, order.number).await?;
    let tells = Tells::of(desk, client, &changes).await?;
    if let Some(made) = store.order_creation(name, order.number).await? {
        let at = made.received_at.or_else(|| made.batch.and_then(made_at));
        let who = sender(made.login, made.request_id.as_deref(), language);
        events.push(Event::new(at, t.event_made, "good", who));
    }
    let mut correction = None;
    for change in changes {
        if change.version == 1 {
            correction = Some(change);
            continue;
        }
        let who = match (change.batch, change.login, change.request_id) {
            (Some(_), login, id) => sender(login, id.as_deref(), language),
            (None, Some(login), Some(_)) => format!("1С ({login})"),
            // An operator's click is no request of the exchange.
            (None, Some(login), None) => login,
            (None, None, _) => t.by_command.to_owned(),
        };
        events.push(Event {
            details: tells.differences(&change.changes),
            ..Event::new(Some(change.made_at), t.event_changed, "info", who)
        });
    }
    let actions = store.operator_actions_of(name, order.number).await?;
    events.extend(actions.into_iter().filter_map(|action| {
        // He sent it as he had corrected it: that is one thing.
        let correction = match action.kind.as_str() {
            "resubmit" => correction.take(),
            _ => None,
        };
        Event::of_action(action, correction, desk, &tells)
    }));
    if let Some(correction) = correction {
        let who = correction.login.unwrap_or_default();
        events.push(Event {
            details: tells.differences(&correction.changes),
            ..Event::new(Some(correction.made_at), t.event_corrected, "info", who)
        });
    }
    let refusals = store.order_refusals(name, order.number).await?;
    let reported = refusals.iter().rfind(|refusal| refusal.target.is_none());
    let reported = reported.map(|refusal| refusal.error.clone());
    if let Some((receiver, said_at)) = receiver {
        let number = receiver.number.as_ref();
        let number = number.map(|number| format!("{}: {number}", t.number));
        // What it refused stands by itself, as long as it is kept.
        let error = (receiver.error.clone()).filter(|error| reported.as_ref() != Some(error));
        let class = if error.is_some() { "bad" } else { "good" };
        let is_said = receiver.error.is_none() || number.is_some() || error.is_some();
        let event = Event {
            details: number.into_iter().chain(error).collect(),
            ..Event::new(
                Some(*said_at),
                t.event_reported,
                class,
                t.back_office.to_owned(),
            )
        };
        events.extend(is_said.then_some(event));
    }
    for refusal in refusals {
        let who = refusal.target.unwrap_or_else(|| t.back_office.to_owned());
        events.push(Event {
            // Of an erased order nothing is left of what was said.
            details: Some(refusal.error)
                .filter(|error| !error.is_empty())
                .into_iter()
                .collect(),
            ..Event::new(Some(refusal.refused_at), t.event_not_taken, "bad", who)
        });
    }
    let filter = Filter {
        order_key: Some(order.sender_id.clone()),
        limit: KEPT,
        ..Filter::default()
    };
    let kept = store.journal_orders(name, None, &filter).await?;
    for (place, attempt) in kept.iter().enumerate() {
        events.push(Event::of_kept(attempt, kept.get(place + 1), desk, &tells));
    }
    for event in &mut events {
        event.when = (event.at).map_or_else(String::new, |at| shown::moment(at, zone));
    }
    // Of one moment: in the order in which they were found. The newest first.
    events.sort_by_key(|event| event.at);
    events.reverse();
    Ok(events)
}

/// Who sent it in: with a login of the site's, or from here.
fn sender(login: Option<String>, request_id: Option<&str>, language: Language) -> String {
    let t = texts(language);
    match login {
        Some(login) if request_id.is_some_and(corrected::is_from_here) => {
            t.from_console.replace("{}", &login)
        }
        login => login.unwrap_or_else(|| t.by_sender.to_owned()),
    }
}

impl Event {
    fn new(
        at: Option<DateTime<Utc>>,
        what: &'static str,
        class: &'static str,
        who: String,
    ) -> Self {
        Self {
            at,
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

    /// `correction`: what he had changed before. `None`: what it changed stands by itself.
    fn of_action(
        action: ActionRow,
        correction: Option<JournalChange>,
        desk: &Desk,
        tells: &Tells,
    ) -> Option<Self> {
        let t = texts(desk.visit.language);
        let what = match action.kind.as_str() {
            "resend" => t.event_resent,
            "withhold" => t.event_withheld,
            "put_aside" => t.event_put_aside,
            "put_back" => t.event_put_back,
            "resubmit" if correction.is_some() => t.event_corrected,
            "resubmit" => t.event_sent_in,
            _ => return None,
        };
        let target = action.details["target"].as_str();
        let target = target.map(|target| format!("→ {target}"));
        let corrected = correction.map(|correction| tells.differences(&correction.changes));
        let batch = action.details["batch"].as_str();
        let kept = batch.zip(action.details["position"].as_i64());
        let base = base(&desk.publication.name);
        Some(Self {
            details: target
                .into_iter()
                .chain(corrected.unwrap_or_default())
                .collect(),
            kept: kept.map(|(batch, position)| format!("{base}/kept/{batch}/{position}")),
            ..Self::new(Some(action.made_at), what, "info", action.login)
        })
    }

    /// `before`: the attempt before it. An operator's differs from that by what he corrected.
    fn of_kept(kept: &KeptOrder, before: Option<&KeptOrder>, desk: &Desk, tells: &Tells) -> Self {
        let language = desk.visit.language;
        let t = texts(language);
        let base = base(&desk.publication.name);
        let page = format!("{base}/kept/{}/{}", kept.batch, kept.position);
        let mut details: Vec<String> = kept
            .entries()
            .map(|entry| in_words(entry, language))
            .collect();
        // What he corrected of an accepted one stands with his action.
        let is_his = kept.warnings.is_none() && corrected::is_from_here(&kept.request_id);
        let has_both = |before: &&KeptOrder| !before.body.is_empty() && !kept.body.is_empty();
        if let Some(before) = before.filter(has_both).filter(|_| is_his) {
            let changes = corrected::changes(&before.body, &kept.body);
            details.splice(0..0, tells.differences(&changes));
        }
        let (what, class) = match &kept.warnings {
            Some(_) => (t.event_remarks, "warn"),
            None => (t.event_rejected, "bad"),
        };
        let who = sender(kept.login.clone(), Some(&kept.request_id), language);
        Self {
            details,
            open_remark: (kept.warnings.is_some() && kept.settled_at.is_none())
                .then(|| page.clone()),
            kept: Some(page),
            body: Some(kept.body.clone()).filter(|body| !body.is_empty()),
            ..Self::new(Some(kept.received_at), what, class, who)
        }
    }
}

/// When a UUID v7 was made.
fn made_at(id: uuid::Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}

/// Tells changes as people read them.
struct Tells {
    language: Language,
    zone: Zone,
    /// What our numbers in them mean.
    addresses: HashMap<i32, String>,
    products: HashMap<i32, String>,
}

impl Tells {
    /// `client`: whose order it is, with all addresses.
    async fn of(desk: &Desk, client: &Client, changes: &[JournalChange]) -> Result<Self, Refusal> {
        let values = changes
            .iter()
            .filter_map(|change| change.changes.as_object());
        let pairs = values
            .flatten()
            .filter_map(|(field, pair)| Some((field, pair.as_array()?)));
        let products = pairs
            .flat_map(|(field, pair)| pair.iter().filter_map(|value| product_of(field, value)));
        let products: BTreeSet<i32> = products.collect();
        let products: Vec<i32> = products.into_iter().collect();
        let products = if products.is_empty() {
            HashMap::new()
        } else {
            let name = &desk.publication.name;
            desk.store().product_names(name, &products).await?
        };
        let addresses = client
            .addresses
            .iter()
            .filter(|address| !address.content.is_erased());
        let addresses = addresses.map(|address| {
            let district = address.district_name.as_deref();
            (
                address.number,
                reply::address_name(&address.content, district),
            )
        });
        Ok(Self {
            language: desk.visit.language,
            zone: desk.publication.rules.timezone,
            addresses: addresses.collect(),
            products,
        })
    }

    /// `Сумма: 710 → 720`, moments in the publication's time, addresses and products by what they are called.
    fn differences(&self, changes: &Value) -> Vec<String> {
        let changes = changes.as_object().into_iter().flatten();
        changes
            .map(|(field, change)| {
                let (from, to) = (self.value(field, &change[0]), self.value(field, &change[1]));
                format!("{}: {from} → {to}", path_title(field, self.language))
            })
            .collect()
    }

    fn value(&self, field: &str, value: &Value) -> String {
        let t = texts(self.language);
        match value {
            Value::Null => "–".to_owned(),
            Value::String(text) => {
                match (DateTime::parse_from_rfc3339(text), Status::parse(text)) {
                    (Ok(moment), _) => shown::moment(moment.to_utc(), self.zone),
                    (_, Some(status)) if field == "status" => t.status(status).to_owned(),
                    _ if field == "payment_type" => t.payment_type(text).to_owned(),
                    _ if is_amount(field) => text.parse().map_or_else(
                        |_no_amount| text.clone(),
                        |amount| shown::money(amount, self.language),
                    ),
                    _ => text.clone(),
                }
            }
            Value::Bool(true) => t.yes.to_owned(),
            Value::Bool(false) => t.no.to_owned(),
            // A line that came or went.
            Value::Object(line) => {
                let part = |name: &str| line.get(name).and_then(Value::as_str);
                let known = product_of(field, value).and_then(|number| self.products.get(&number));
                let name = part("name")
                    .or(known.map(String::as_str))
                    .or(part("product_id"));
                let quantity = line.get("quantity").unwrap_or(&Value::Null);
                let price = part("price").unwrap_or_default();
                format!("{} × {quantity}, {price}", name.unwrap_or_default())
            }
            other => {
                let number = other.as_i64().and_then(|number| i32::try_from(number).ok());
                let named = number.and_then(|number| {
                    if field == "shipping_address" {
                        return self.addresses.get(&number).cloned();
                    }
                    let name = self.products.get(&product_of(field, value)?)?;
                    Some(format!("{number} {name}"))
                });
                named.unwrap_or_else(|| other.to_string())
            }
        }
    }
}

/// Our number of the product of a line, or that it has.
fn product_of(field: &str, value: &Value) -> Option<i32> {
    let number = match value {
        Value::Object(line) => line.get("product")?,
        number if field.starts_with("order_item_list[") && field.ends_with("].product") => number,
        _ => return None,
    };
    i32::try_from(number.as_i64()?).ok()
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
            "external_id": [7, 101],
            "shipping_address": [100, 101],
            "order_item_list[0].product": [null, 7],
            "order_item_list[3]": [{ "product_id": "b", "name": null, "product": 7, "price": "5", "quantity": 1 }, null],
            "total": ["2130", "1420.50"],
            "payment_status": [false, true],
            "payment_type": ["cash", "card"],
        });
        let tells = Tells {
            language: Language::Ru,
            zone: crate::order::zone::zone("Europe/Moscow"),
            addresses: [(101, "Ленина, д. 1, г. С".to_owned())].into(),
            products: [(7, "Вода".to_owned())].into(),
        };
        let told = tells.differences(&changes);
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
        // Our numbers, where it is known what they mean.
        assert!(has("Адрес доставки: 100 → Ленина, д. 1, г. С"), "{told:?}");
        assert!(has("Строка 1, Товар: – → 7 Вода"), "{told:?}");
        assert!(has("Строка 4: Вода × 1, 5 → –"), "{told:?}");
        assert!(has("external_id: 7 → 101"), "{told:?}");
    }
}
