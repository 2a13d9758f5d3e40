//! Orders, from their text to the answer, with nothing but the batch itself stored (contract §2 to §6).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, LazyLock},
};

use aqua_orders::order::{
    Rules,
    datetime::{parse, print},
    decide::{Batch, FreeNumbers, Outcome, Verdict, decide},
    diff,
    fault::{FaultCode, FaultText, Language, Remark, RemarkText, summary},
    fields::{self, Field, KEPT_TEXT, Kind},
    known::{Keys, Known},
    model::{Client, Order},
    phone::Region,
    reply::{self, Envelope, Stored},
    wire::{self, Element},
};
use chrono::DateTime;
use serde::de::IgnoredAny;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

use super::{amount, datetime, phone};

/// The first byte chooses the rules and how the rest is read: as text, or as changes to a good order.
pub fn check(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else {
        return;
    };
    let rules = rules(*how);
    let text = String::from_utf8_lossy(rest);
    let elements: Vec<String> = if how & 64 != 0 {
        changed_orders(&text)
    } else if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(&text) {
        elements
            .into_iter()
            .map(|element| element.get().to_owned())
            .collect()
    } else if let Ok(element) = serde_json::from_str::<&RawValue>(&text) {
        vec![element.get().to_owned()]
    } else {
        // Nobody hands it over; it must not panic all the same.
        let _ = wire::parse(&text, &rules, usize::MAX);
        return;
    };
    let mut read: Vec<Element> = elements
        .iter()
        .map(|element| element_of(element, &rules))
        .collect();
    wire::number_entries(&mut read);
    batch(&elements, &read, &rules);
}

/// Some settings of a publication.
pub fn rules(choice: u8) -> Rules {
    let small = choice & 32 != 0;
    Rules {
        timezone: datetime::zone(choice >> 2 & 3),
        phone_region: [Region::Ru, Region::Kz, Region::International][usize::from(choice & 3) % 3],
        payment_types: (choice & 16 != 0).then(|| vec!["cash".to_owned(), "card".to_owned()]),
        loyalty_system_is_active: choice & 4 != 0,
        answers_stored: true,
        anybody_may_post: false,
        max_order_items: if small { 2 } else { 500 },
        max_client_addresses: if small { 2 } else { 100 },
    }
}

/// Every place of [`changed_orders`]: its object, its field, and what a good order has there. Whole objects and lists come
/// last, and texts that are put into an object as they are.
static PLACES: LazyLock<Vec<(&str, &str, &str)>> = LazyLock::new(|| {
    let (whole, simple): (Vec<_>, Vec<_>) = fields::objects()
        .into_iter()
        .flat_map(|(object, _, fields)| fields.iter().map(move |field| (object, field)))
        .partition(|(_, field)| matches!(field.kind, Kind::Object(_) | Kind::List(_)));
    let simple = simple
        .into_iter()
        .map(|(object, field)| (object, field.name, good(object, field)));
    let whole = whole
        .into_iter()
        .map(|(object, field)| (object, field.name, ""));
    let inside = fields::objects().map(|(object, _, _)| (object, "", ""));
    let places = simple.chain([("Order", "unknown", "")]);
    places.chain(whole).chain(inside).collect()
});

/// What a good order has in a field; nothing where it does without.
fn good(object: &str, field: &Field) -> &'static str {
    match (object, field.name) {
        (_, "emai")
        | ("Client" | "Address" | "ShippingAddress", "external_id" | "user_address_id") => "",
        ("Order", "id") => r#""order""#,
        ("OrderItem", "id") => r#""line""#,
        ("Client", "id") => r#""client""#,
        ("Address", "id") => r#""address""#,
        ("Address", "house") => r#""19""#,
        ("Address", "str") => r#""Кутузова, 19""#,
        (_, "created_at") => r#""2019-11-05 10:00""#,
        (_, "shipping_date_to") => r#""2019-11-06T18:00:00Z""#,
        (_, "username") => r#""Василий""#,
        ("Order", "external_id") | (_, "entrance" | "floor" | "room") => "null",
        _ => match field.kind {
            Kind::Identity | Kind::Id => r#""a""#,
            Kind::OurNumber => "1",
            Kind::Text(_) => r#""21""#,
            Kind::Amount(_) => "355.5",
            Kind::Integer(..) => "2",
            Kind::Flag => "true",
            Kind::Checkout => r#""bill""#,
            Kind::Moment => r#""2019-11-06T11:00:00Z""#,
            Kind::Phone => r#""+79083280832""#,
            Kind::Phones => r#"["8 (919) 199-19-19"]"#,
            Kind::OneOf(_) if field.name == "status" => r#""new""#,
            Kind::OneOf(_) => r#""jur""#,
            Kind::Object(_) | Kind::List(_) => "",
        },
    }
}

/// A line is a change: its first byte, from `0` on, chooses the place, the rest is the JSON to put there (or a text where
/// it is none, or nothing to take the field away). A line of `/` begins another order.
fn changed_orders(text: &str) -> Vec<String> {
    text.split("\n/\n").take(8).map(changed_order).collect()
}

fn changed_order(changes: &str) -> String {
    let mut values: Vec<String> = PLACES
        .iter()
        .map(|(_, _, value)| (*value).to_owned())
        .collect();
    for change in changes.lines() {
        let mut value = change.chars();
        let Some(place) = value.next() else { continue };
        let place = u32::from(place).wrapping_sub(u32::from('0'));
        let place = usize::try_from(place).unwrap_or(0) % PLACES.len();
        let value = value.as_str();
        values[place] = if value.is_empty() || serde_json::from_str::<IgnoredAny>(value).is_ok() {
            value.to_owned()
        } else {
            json!(value).to_string()
        };
    }
    let object = |object: &str| {
        let mut fields: Vec<String> = Vec::new();
        let mut more = String::new();
        for ((of, name, _), value) in PLACES.iter().zip(&values) {
            if *of != object || value.is_empty() {
                continue;
            }
            if name.is_empty() {
                // What is between the braces of an object comes again; of a doubled key the last counts.
                value.trim().clone_into(&mut more);
            } else {
                fields.push(format!("\"{name}\":{value}"));
            }
        }
        if let Some(more) = more
            .strip_prefix('{')
            .and_then(|more| more.strip_suffix('}'))
            && !more.trim().is_empty()
        {
            fields.push(more.to_owned());
        }
        fields
    };
    let with = |mut fields: Vec<String>, name: &str, value: String| {
        // One that was put there as a whole stays.
        if !fields
            .iter()
            .any(|field| field.starts_with(&format!("\"{name}\":")))
        {
            fields.insert(0, format!("\"{name}\":{value}"));
        }
        fields
    };
    let braced = |fields: Vec<String>| format!("{{{}}}", fields.join(","));
    let client = with(
        object("Client"),
        "addresses",
        format!("[{}]", braced(object("Address"))),
    );
    let order = with(object("Order"), "client", braced(client));
    let order = with(order, "shipping_address", braced(object("ShippingAddress")));
    braced(with(
        order,
        "order_item_list",
        format!("[{}]", braced(object("OrderItem"))),
    ))
}

/// One element, which is JSON.
fn element_of(text: &str, rules: &Rules) -> Element {
    let element = wire::parse(text, rules, usize::MAX);
    assert_eq!(
        format!("{element:?}"),
        format!("{:?}", wire::parse(text, rules, usize::MAX)),
        "read twice"
    );
    assert_eq!(element.order.is_some(), element.faults.is_empty());
    assert!(
        element.order.is_none() || element.id.is_some(),
        "an order without an id was taken"
    );
    render(&element);

    // What JSON's grammar allows and nobody can hold spoils the element; nothing else spoils the whole of it.
    let value = serde_json::from_str::<Value>(text).ok();
    let whole = element.faults.iter().find(|fault| fault.field.is_empty());
    match (&value, whole.map(|fault| fault.code)) {
        (None, _) => assert!(
            !element.faults.is_empty(),
            "taken, and cannot be held: {text}"
        ),
        (Some(Value::Object(_)), None) | (Some(_), Some(FaultCode::WrongType)) => {}
        (Some(value), fault) => panic!("{fault:?} of {value}"),
    }
    if let Some(Value::Object(fields)) = &value {
        known_fields(fields, &element);
    }
    element
}

/// Texts in both languages, for people.
fn render(element: &Element) {
    for language in [Language::Ru, Language::En] {
        for fault in &element.faults {
            let text =
                serde_json::to_value(FaultText::whole(fault, language)).expect("a fault is JSON");
            entry_of(&text, &fault.field);
        }
        for warning in &element.warnings {
            let text = serde_json::to_value(RemarkText(Remark::Warning(warning), language))
                .expect("a warning is JSON");
            entry_of(&text, &warning.field);
        }
        if !element.faults.is_empty() {
            assert!(!summary(&element.faults.iter().collect::<Vec<_>>(), language).is_empty());
        }
    }
}

fn entry_of(text: &Value, field: &str) {
    assert_eq!(text["field"], field);
    for key in ["code", "message"] {
        assert!(
            text[key].as_str().is_some_and(|text| !text.is_empty()),
            "{text}"
        );
    }
    // `order_item_list[0].price`
    let is_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.[]".contains(c);
    assert!(field.chars().all(is_path), "{field}");
}

/// The order's own fields by contract §3, as `serde_json` reads them.
fn known_fields(fields: &serde_json::Map<String, Value>, element: &Element) {
    let none = Value::Null;
    let faults = || element.faults.iter().chain(&element.missing);
    let has_fault = |field: &str| faults().any(|fault| fault.field == field);
    let has_warning = |field: &str| {
        element
            .warnings
            .iter()
            .any(|warning| warning.field == field)
    };
    let field = |name: &str| fields.get(name).unwrap_or(&none);

    let id = field("id");
    match id {
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            let digits = number.to_string();
            let is_none = digits == "0";
            assert_eq!(element.id, (!is_none).then_some(digits), "{id}");
        }
        Value::String(_) | Value::Number(_) => {
            assert!(element.id.is_some() || has_fault("id"), "{id}");
        }
        _ => assert!(element.id.is_none() && has_fault("id"), "{id}"),
    }
    // An optional text is never a fault, and whatever is no text and says something is warned of.
    for name in ["payment_type", "comment"] {
        let value = field(name);
        assert!(!has_fault(name), "{name}: {value}");
        let says_nothing = match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(object) => object.is_empty(),
            _ => false,
        };
        let is_text = value.is_string() || value.is_number();
        if !is_text && !says_nothing {
            assert!(has_warning(name), "{name}: {value}");
        }
        if says_nothing {
            assert!(!has_warning(name), "{name}: {value}");
        }
    }
    let status = field("status")
        .as_str()
        .map(|status| status.replace('\0', ""));
    let is_status = ["new", "approved", "completed", "removed"]
        .iter()
        .any(|name| status.as_deref() == Some(name));
    assert_eq!(has_fault("status"), !is_status, "{status:?}");
    for (name, is) in [
        ("client", Value::is_object as fn(&Value) -> bool),
        ("shipping_address", Value::is_object),
    ] {
        assert_eq!(has_fault(name), !is(field(name)), "{name}");
    }
    for name in [
        "created_at",
        "delivery_cost",
        "coins",
        "payment_status",
        "count_of_returned_bottles",
        "ask_for_checkout",
    ] {
        assert!(!has_fault(name), "{name} costs no order");
    }
    let total = field("total");
    let is_wrong = !total.is_number() && !total.is_string() || total == "";
    assert!(!is_wrong || has_fault("total"), "{total}");
}

/// All elements together: decided, answered, stored and sent again.
fn batch(texts: &[String], elements: &[Element], rules: &Rules) {
    let now = DateTime::UNIX_EPOCH;
    let mut known = Known {
        now,
        orders: Vec::new(),
        order_numbers: BTreeSet::new(),
        clients: Vec::new(),
        address_numbers: BTreeSet::new(),
        products: HashMap::from([("a".to_owned(), 28), ("line".to_owned(), 36)]),
        imports: None,
        imported: HashMap::new(),
    };
    let none = HashSet::new();
    let batch = || Batch {
        elements,
        received_at: now,
        refused: &none,
        skipped: &none,
    };
    let Some((_, decision)) = [256, 1 << 17].into_iter().find_map(|count| {
        let numbers = || (1..).take(count).collect();
        let mut numbers = FreeNumbers {
            order: numbers(),
            client: numbers(),
            address: numbers(),
        };
        decide(
            &known,
            &[batch()],
            &mut numbers,
            rules.max_client_addresses,
            Uuid::now_v7,
            &|| true,
        )
        .ok()
        .map(|decision| (count, decision))
    }) else {
        panic!("not enough numbers for {} orders", elements.len());
    };
    let verdicts = decision.verdicts[0].clone();
    let mut next = vec![0; verdicts.len()];
    for element in elements {
        let verdict = &verdicts[element.entry];
        let outcome = &verdict.elements[next[element.entry]];
        next[element.entry] += 1;
        match outcome {
            Outcome::Taken(_) => assert_eq!(element.faults, []),
            Outcome::Refused(faults) => {
                assert!(!faults.is_empty(), "refused without a reason");
                assert!(faults.starts_with(&element.faults), "not all faults");
            }
        }
        let is_taken = |outcome: &Outcome| matches!(outcome, Outcome::Taken(_));
        assert_eq!(verdict.is_accepted(), verdict.elements.iter().any(is_taken));
    }
    assert!(next.iter().all(|elements| *elements > 0));
    let stored = Stored::of(&decision);
    is_sound(&stored);
    let first = answer(texts, elements, &verdicts, &stored, rules);

    let mut keys = Keys::default();
    for element in elements {
        keys.add(element);
    }
    let numbers = stored.orders.iter().map(|order| order.number);
    known.order_numbers = numbers.filter(|n| keys.order_numbers.contains(n)).collect();
    let addresses = stored.clients.iter().flat_map(|client| &client.addresses);
    let numbers = addresses.map(|address| address.number);
    known.address_numbers = numbers
        .filter(|n| keys.address_numbers.contains(n))
        .collect();
    known.orders.clone_from(&stored.orders);
    known.clients.clone_from(&stored.clients);
    let again = decide(
        &known,
        &[batch()],
        &mut FreeNumbers::default(),
        rules.max_client_addresses,
        Uuid::now_v7,
        &|| true,
    );
    let changes = again.as_ref().map(diff::changes);
    assert!(
        changes.as_ref().is_ok_and(diff::Changes::is_empty),
        "sent again it changes {changes:?}"
    );
    let again = again.expect("what exists uses up no number");
    let verdicts = again.verdicts[0].clone();
    let stored = Stored::of(&again);
    let second = json(elements, &verdicts, &stored, rules, Language::Ru);
    let second = serde_json::from_slice(&second).expect("JSON");
    // A status that went forward within the batch goes back in it now, and that is said.
    let data = |answer: &Value| -> Vec<Value> {
        let entries = answer["data"].as_object().into_iter().flatten();
        entries.map(|(_, entry)| entry["data"].clone()).collect()
    };
    assert_eq!(
        data(&first),
        data(&second),
        "sent again it is answered otherwise"
    );
}

/// What the database would insist on.
fn is_sound(stored: &Stored) {
    let numbers = |numbers: Vec<i32>| {
        let set: BTreeSet<i32> = numbers.iter().copied().collect();
        assert_eq!(set.len(), numbers.len(), "a number was given twice");
        assert!(
            set.first().is_none_or(|first| *first > 0),
            "a number below 1"
        );
    };
    numbers(stored.orders.iter().map(|order| order.number).collect());
    numbers(stored.clients.iter().map(|client| client.number).collect());
    let addresses = stored.clients.iter().flat_map(|client| &client.addresses);
    numbers(addresses.map(|address| address.number).collect());
    let ids = |ids: Vec<&String>| {
        let set: BTreeSet<&String> = ids.iter().copied().collect();
        assert_eq!(set.len(), ids.len(), "an id was stored twice");
    };
    ids(stored.orders.iter().map(|order| &order.sender_id).collect());
    ids(stored
        .clients
        .iter()
        .filter_map(|client| client.sender_id.as_ref())
        .collect());
    ids(stored
        .clients
        .iter()
        .filter_map(|client| client.guest_phone.as_ref())
        .collect());
    for client in &stored.clients {
        ids(client
            .addresses
            .iter()
            .filter_map(|address| address.sender_id.as_ref())
            .collect());
        assert!(
            client.sender_id.is_none() || client.guest_phone.is_none(),
            "a registered guest"
        );
        assert!(!client.username.is_empty(), "a client without a name");
        for address in &client.addresses {
            assert!(address.content.house.chars().count() <= KEPT_TEXT);
        }
    }
    for (order, client) in stored.orders.iter().zip(&stored.client_of) {
        let client = &stored.clients[*client];
        assert_eq!(order.client_number, client.number);
        assert!(
            order
                .address_number
                .is_none_or(|number| client.address(number).is_some()),
            "an order goes to another client's address"
        );
        assert!(order.shipping_date_from <= order.shipping_date_to);
        assert!(!order.items.is_empty());
    }
}

fn json(
    elements: &[Element],
    verdicts: &[Verdict],
    stored: &Stored,
    rules: &Rules,
    language: Language,
) -> Vec<u8> {
    let envelope = Envelope {
        elements,
        verdicts,
        stored,
        rules,
        language,
    };
    let json = envelope.to_json().expect("an answer is JSON").concat();
    assert!(json.len() <= envelope.most_bytes(usize::MAX));
    json
}

/// The answer in both languages: JSON with the contract's keys and what was sent in it.
fn answer(
    texts: &[String],
    elements: &[Element],
    verdicts: &[Verdict],
    stored: &Stored,
    rules: &Rules,
) -> Value {
    let keys = reply::keys_as_sent(elements);
    let [russian, english] = [Language::Ru, Language::En].map(|language| {
        let json = json(elements, verdicts, stored, rules, language);
        let answer: Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(2));
        assert_eq!(answer["success"], true);
        let data = answer["data"].as_object().expect("an object");
        assert_eq!(data.len(), keys.len(), "every key once");
        for (key, verdict) in keys.iter().zip(verdicts) {
            entry(&data[key], verdict, stored, rules);
        }
        if let ([text], [verdict]) = (texts, verdicts)
            && verdict.is_accepted()
            && !verdict.has_remarks()
        {
            let raw: Raw<'_> = serde_json::from_slice(&json).expect("JSON");
            echoed(
                text,
                &answer["data"][&keys[0]]["data"][0],
                raw.data[keys[0].as_str()],
                rules,
            );
        }
        answer
    });
    let codes = |answer: &Value| -> Vec<Value> {
        let entries = answer["data"].as_object().into_iter().flatten();
        let told = entries.flat_map(|(_, entry)| [&entry["errors"], &entry["warnings"]]);
        let told = told.filter_map(Value::as_array).flatten();
        told.map(|told| json!([told["field"], told["code"]]))
            .collect()
    };
    assert_eq!(codes(&russian), codes(&english));
    russian
}

const ORDER: [&str; 18] = [
    "id",
    "external_id",
    "status",
    "client",
    "account_number",
    "total",
    "delivery_cost",
    "coins",
    "payment_type",
    "payment_status",
    "created_at",
    "shipping_address",
    "shipping_date_from",
    "shipping_date_to",
    "order_item_list",
    "comment",
    "ask_for_checkout",
    "count_of_returned_bottles",
];
const CLIENT: [&str; 14] = [
    "id",
    "external_id",
    "username",
    "comment",
    "email",
    "account_number",
    "type",
    "phones",
    "addresses",
    "requisites",
    "legal_address",
    "product_price_list",
    "coins_amount",
    "loyalty_system_is_active",
];
const ADDRESS: [&str; 11] = [
    "id",
    "external_id",
    "name",
    "city",
    "street",
    "house",
    "room",
    "entrance",
    "floor",
    "district_id",
    "str",
];
const ITEM: [&str; 5] = [
    "name",
    "quantity",
    "price",
    "product_id",
    "order_product_id",
];

fn has_keys(value: &Value, keys: &[&str], more: &[&str]) {
    let found: BTreeSet<&str> = value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let expected: BTreeSet<&str> = keys.iter().chain(more).copied().collect();
    assert_eq!(found, expected);
}

/// One order's entry (contract §2, §6).
fn entry(entry: &Value, verdict: &Verdict, stored: &Stored, rules: &Rules) {
    let told = if verdict.is_accepted() {
        let warnings = if verdict.remarks().is_empty() {
            &[][..]
        } else {
            &["warnings"]
        };
        has_keys(entry, &["success", "data"], warnings);
        assert_eq!(entry["success"], true);
        assert_eq!(entry["data"].as_array().map(Vec::len), Some(1));
        &entry["warnings"]
    } else {
        has_keys(entry, &["success", "data", "message", "errors"], &[]);
        assert_eq!(
            (&entry["success"], &entry["data"]),
            (&json!(false), &json!([]))
        );
        let faults = verdict.faults().len();
        assert_eq!(entry["errors"].as_array().map(Vec::len), Some(faults));
        &entry["errors"]
    };
    for told in told.as_array().into_iter().flatten() {
        has_keys(told, &["field", "code", "message"], &[]);
        entry_of(told, told["field"].as_str().expect("a text"));
    }
    let Some(accepted) = verdict.order else {
        return;
    };
    let (record, client): (&Order, &Arc<Client>) = (
        &stored.orders[accepted],
        &stored.clients[stored.client_of[accepted]],
    );
    let order = &entry["data"][0];
    has_keys(order, &ORDER, &[]);
    has_keys(&order["client"], &CLIENT, &[]);
    has_keys(&order["shipping_address"], &ADDRESS, &["user_address_id"]);
    for item in order["order_item_list"].as_array().expect("a list") {
        has_keys(item, &ITEM, &[]);
    }
    for address in order["client"]["addresses"].as_array().expect("a list") {
        has_keys(address, &ADDRESS, &[]);
    }
    has_keys(&order["client"]["requisites"], &["bank_account"], &[]);
    assert_eq!(order["id"], record.number.to_string());
    assert_eq!(order["client"]["id"], client.number);
    // What we answer comes in again.
    for phone in client.phone.iter().chain(&client.phones) {
        phone::comes_in_again(phone, rules.phone_region);
    }
    for moment in [
        record.created_at,
        record.shipping_date_from,
        record.shipping_date_to,
    ] {
        datetime::prints(moment, rules.timezone);
    }
}

/// Numbers as they are written.
#[derive(serde::Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    data: BTreeMap<std::borrow::Cow<'a, str>, &'a RawValue>,
}

/// A lone order that was taken as it came leaves so, too.
fn echoed(sent: &str, answered: &Value, entry: &RawValue, rules: &Rules) {
    let value: Value = serde_json::from_str(sent).expect("it was taken");
    let text = |value: &Value| match value {
        Value::Null | Value::Bool(false) | Value::Array(_) | Value::Object(_) => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        // Whatever serde_json makes of it: another spelling of a number.
        Value::Number(_) => Some("a number".to_owned()),
        Value::Bool(true) => Some("true".to_owned()),
    };
    let spelled = |left: Option<String>, sent: Option<&Value>| {
        if sent.is_some_and(Value::is_number) {
            left.map(|_| "a number".to_owned())
        } else {
            left
        }
    };
    for (there, here) in [
        ("/comment", "/comment"),
        ("/status", "/status"),
        ("/payment_type", "/payment_type"),
        ("/shipping_address/city", "/shipping_address/city"),
        ("/shipping_address/street", "/shipping_address/street"),
        ("/shipping_address/house", "/shipping_address/house"),
        ("/shipping_address/str", "/shipping_address/str"),
        ("/shipping_address/room", "/shipping_address/room"),
        ("/client/username", "/client/username"),
        ("/client/comment", "/client/comment"),
    ] {
        let (sent, left) = (value.pointer(there), answered.pointer(here));
        assert_eq!(
            sent.and_then(text),
            spelled(left.and_then(text), sent),
            "{there}"
        );
    }
    let entry: BTreeMap<String, &RawValue> = serde_json::from_str(entry.get()).expect("an entry");
    let orders: Vec<BTreeMap<String, &RawValue>> =
        serde_json::from_str(entry["data"].get()).expect("a list");
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(sent).expect("an order");
    for name in ["total", "delivery_cost", "coins"] {
        same_number(fields.get(name).copied(), Some(orders[0][name]));
    }
    let sent = fields.get("order_item_list").map_or("", |list| list.get());
    let sent: Vec<BTreeMap<String, &RawValue>> = serde_json::from_str(sent).unwrap_or_default();
    let left: Vec<BTreeMap<String, &RawValue>> =
        serde_json::from_str(orders[0]["order_item_list"].get()).expect("lines");
    // A list with holes comes as an object.
    assert!(sent.is_empty() || sent.len() == left.len());
    for (sent, left) in sent.iter().zip(&left) {
        for name in ["price", "quantity", "order_product_id"] {
            same_number(sent.get(name).copied(), left.get(name).copied());
        }
    }
    for name in ["shipping_date_from", "shipping_date_to"] {
        let text: String = serde_json::from_str(fields[name].get()).expect("a text");
        let moment = parse(&text, rules.timezone).expect("a moment");
        let printed = print(moment, rules.timezone);
        assert_eq!(orders[0][name].get(), json!(printed).to_string());
    }
}

/// Digit by digit, where it is a plain number without a binary float's noise.
fn same_number(sent: Option<&RawValue>, left: Option<&RawValue>) {
    let plain = |raw: &RawValue| {
        let text: String = serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
        amount::plain(&text).map(|plain| plain.text())
    };
    let is_short = |text: &String| {
        text.split_once('.')
            .is_none_or(|(_, behind)| behind.len() <= 2)
    };
    if let Some(sent) = sent.and_then(plain).filter(is_short) {
        assert_eq!(Some(sent), left.and_then(plain));
    }
}
