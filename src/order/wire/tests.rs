//! What costs an order, over every field that there is (contract §3).

use serde_json::{Map, Value, json};

use super::{Element, parse};
use crate::order::{
    Rules,
    fault::{FaultCode, Language},
    fields::{self, Field, Kind},
};

fn rules() -> Rules {
    Rules::with_limits(3, 3)
}

fn read(order: &Value) -> Element {
    parse(&order.to_string(), &rules(), usize::MAX)
}

/// A value as the document has it.
fn good(field: &Field) -> Value {
    match field.kind {
        Kind::Identity | Kind::Id => json!("a"),
        Kind::OurNumber => json!(7),
        Kind::Text(_) => json!("text"),
        Kind::Amount(_) => json!(1.5),
        Kind::Integer(..) => json!(2),
        Kind::Flag | Kind::Checkout => json!(true),
        Kind::Moment => json!("2026-11-06T11:00:00Z"),
        Kind::Phone => json!("+79191991919"),
        Kind::Phones => json!(["+79191991919"]),
        Kind::OneOf(words) => json!(words.split(", ").next()),
        Kind::Object(name) => object(name),
        Kind::List(name) => json!([object(name)]),
    }
}

/// An object with a good value in every field.
fn object(name: &str) -> Value {
    let objects = fields::objects();
    let (_, _, fields) = objects.iter().find(|object| object.0 == name).expect(name);
    let fields = fields.iter();
    Value::Object(
        fields
            .map(|field| (field.name.to_owned(), good(field)))
            .collect::<Map<_, _>>(),
    )
}

/// Every field, with a pointer to the object that it stands in.
fn every_field() -> impl Iterator<Item = (&'static str, &'static Field)> {
    fields::objects().into_iter().flat_map(|(name, _, fields)| {
        let at = match name {
            "Order" => "",
            "OrderItem" => "/order_item_list/0",
            "Client" => "/client",
            "Address" => "/client/addresses/0",
            "ShippingAddress" => "/shipping_address",
            other => panic!("where does {other} stand?"),
        };
        fields.iter().map(move |field| (at, field))
    })
}

fn with(at: &str, field: &Field, value: Option<Value>) -> Value {
    let mut order = object("Order");
    let object = order.pointer_mut(at).and_then(Value::as_object_mut);
    let object = object.expect("an object");
    // The misspelled one is looked at only where the other has nothing.
    if field.name == "emai" {
        object.remove("email");
    }
    match value {
        Some(value) => object.insert(field.name.to_owned(), value),
        None => object.remove(field.name),
    };
    order
}

/// `order_item_list[0].price` for `/order_item_list/0` and `price`.
fn path(at: &str, field: &Field) -> String {
    let at = at.replace("/0", "[0]").replace('/', ".");
    format!("{at}.{}", field.name)
        .trim_start_matches('.')
        .to_owned()
}

/// Values of every type and of every way to say nothing.
fn any_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(""),
        json!(" "),
        json!(false),
        json!(true),
        json!([]),
        json!({}),
        json!([[]]),
        json!([1]),
        json!(["x", null]),
        json!({ "a": 1 }),
        json!({ "0": 1, "2": {} }),
        json!(0),
        json!(1),
        json!(-1),
        json!(12.5),
        json!(1e300),
        json!(1e20),
        json!("0"),
        json!("1"),
        json!("1,5"),
        json!("12.3456"),
        json!("1,234.5"),
        json!("2,000"),
        json!("710 руб."),
        json!("да"),
        json!("x"),
        json!("a\0b"),
        json!("\0"),
        json!("new"),
        json!("jur"),
        json!("0001-01-01T00:00:00"),
        json!("06.11.2026 11:00"),
        json!("06.11.2026, 11:00:00"),
        json!("2026-13-01"),
        json!("вчера"),
        json!("8 (919) 199-19-19 доб. 12"),
        json!("тел. 8 (919) 199-19-19"),
        json!("00000000-0000-0000-0000-000000000000"),
        json!("78e66cef-ae2c-11e6-9bf1-f8a9634f667f"),
        json!("ж".repeat(300)),
        json!("ж".repeat(2_000)),
        json!("ж".repeat(70_000)),
    ]
}

#[test]
fn an_order_in_the_documents_form_is_read_without_a_word() {
    let element = read(&object("Order"));
    assert_eq!(element.faults, []);
    assert_eq!(element.warnings, []);
    assert!(element.order.is_some());
}

#[test]
fn without_a_required_field_an_order_is_refused_and_without_an_optional_one_it_is_not() {
    for (at, field) in every_field() {
        let element = read(&with(at, field, None));
        let path = path(at, field);
        let is_optional_entry = at.starts_with("/client/addresses");
        if !field.is_required {
            assert_eq!(element.faults, [], "{path}");
            assert_eq!(element.warnings, [], "{path}");
        } else if is_optional_entry {
            assert_eq!(element.faults, [], "{path}");
            assert_eq!(element.warnings[0].field, path);
        } else {
            assert_eq!(element.faults.len(), 1, "{path}");
            assert_eq!(element.faults[0].field, path);
            assert_eq!(element.faults[0].code, FaultCode::Required, "{path}");
        }
    }
}

/// Nothing in an optional field costs an order but an id that is too long, a list that is, and what cannot be held; and what is
/// there is taken, says nothing, or is warned of.
#[test]
fn whatever_an_optional_field_has_the_order_is_taken_and_what_is_not_taken_is_said() {
    for (at, field) in every_field().filter(|(_, field)| !field.is_required) {
        let path = path(at, field);
        let absent = format!("{:?}", read(&with(at, field, None)).order);
        for value in any_values() {
            let element = read(&with(at, field, Some(value.clone())));
            let short: String = value.to_string().chars().take(60).collect();
            if matches!(field.kind, Kind::Identity | Kind::Id)
                && (short.len() > 60 || short == "1e+300")
            {
                assert_eq!(
                    element.faults[0].code,
                    FaultCode::TooLong,
                    "{path}: {short}"
                );
                continue;
            }
            assert_eq!(element.faults, [], "{path}: {short}");
            let is_warned = element
                .warnings
                .iter()
                .any(|warning| warning.field.starts_with(&path));
            let is_taken = format!("{:?}", element.order) != absent
                || element.external_id != read(&with(at, field, None)).external_id
                || element.client != read(&with(at, field, None)).client;
            let is_nothing = match &value {
                Value::Null => true,
                Value::Bool(flag) => !flag && field.kind != Kind::Flag,
                Value::Array(list) => list.is_empty() && field.kind != Kind::Flag,
                Value::Object(object) => object.is_empty() && field.kind != Kind::Flag,
                Value::Number(_) | Value::String(_) => {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    let is_id = matches!(field.kind, Kind::Identity | Kind::Id);
                    let is_placeholder = text == "0" || text.starts_with("00000000-");
                    text.is_empty()
                        || is_id && text.trim().is_empty()
                        || field.kind == Kind::Moment && text.starts_with("0001-01-01")
                        || matches!(field.kind, Kind::Identity | Kind::OurNumber) && is_placeholder
                }
            };
            // Our number of an address is warned of where the client is known.
            let is_told_later = field.name == "user_address_id";
            assert!(
                is_warned || is_taken || is_nothing || is_told_later,
                "{path}: {short} was dropped without a word"
            );
            for warning in &element.warnings {
                for language in [Language::Ru, Language::En] {
                    assert!(!warning.message(language).is_empty());
                }
            }
        }
    }
}

#[test]
fn a_placeholder_id_makes_a_guest_of_whom_a_phone_is_known_whatever_number_comes_with_it() {
    for placeholder in [
        json!(0),
        json!("0"),
        json!("00000000-0000-0000-0000-000000000000"),
    ] {
        let mut order = object("Order");
        order["client"]["id"] = placeholder;
        let element = read(&order);
        assert!(!element.client.is_registered());
        assert_eq!(element.client.phone.as_deref(), Some("+79191991919"));
        assert_eq!(element.client.guest_number, Some(7));
        // Without a phone the number is all there is.
        order["client"]["phone"] = json!(null);
        assert_eq!(read(&order).client.external_id, Some(7));
    }
    let mut order = object("Order");
    order["client"]["id"] = json!(null);
    assert_eq!(read(&order).client.external_id, Some(7));
}

#[test]
fn to_cancel_an_order_its_id_and_status_are_enough() {
    let element = read(&json!({ "id": "a", "status": "removed" }));
    assert_eq!(element.faults, []);
    let missing: Vec<String> = element
        .missing
        .iter()
        .map(|fault| format!("{}: {}", fault.field, fault.code.as_str()))
        .collect();
    assert_eq!(
        missing,
        [
            "total: required",
            "shipping_date_from: required",
            "shipping_date_to: required",
            "order_item_list: required",
            "client: required",
            "shipping_address: required",
        ]
    );
    let order = element.order.expect("a cancellation");
    assert!(order.total.is_none() && order.items.is_none() && order.client.is_none());
    for status in ["new", "approved", "completed"] {
        let element = read(&json!({ "id": "a", "status": status }));
        assert_eq!(element.faults.len(), 6, "{status}");
        assert_eq!(element.missing, [], "{status}");
    }
    let nameless = read(&json!({ "status": "removed" }));
    assert_eq!(nameless.faults.len(), 7);
}

#[test]
fn of_a_cancellation_what_cannot_be_read_is_missing_and_what_can_is_there() {
    for (at, field) in every_field().filter(|(_, field)| field.is_required) {
        if matches!(field.name, "id" | "status") && at.is_empty() {
            continue;
        }
        let mut order = with(at, field, Some(json!(true)));
        order["status"] = json!("removed");
        let element = read(&order);
        let path = path(at, field);
        assert_eq!(element.faults, [], "{path}");
        let is_entry = at.starts_with("/client/addresses");
        assert_eq!(element.missing.is_empty(), is_entry, "{path}");
    }
    // An empty list or object is nothing, and no more is said of it.
    for nothing in [json!([]), json!({}), json!(false), json!(null)] {
        let all = ["total", "order_item_list", "client", "shipping_address"];
        let mut order = json!({ "id": "a", "status": "removed" });
        for name in all {
            order[name] = nothing.clone();
        }
        let element = read(&order);
        assert_eq!(
            (element.faults, element.warnings),
            (vec![], vec![]),
            "{nothing}"
        );
    }
    // What costs an order anyway costs a cancellation, too.
    let mut order = object("Order");
    order["status"] = json!("removed");
    order["order_item_list"] = json!([{}, {}, {}, {}]);
    assert_eq!(read(&order).faults[0].code, FaultCode::TooMany);
    // Of two dates one alone may not go with the stored other.
    let one_date =
        json!({ "id": "a", "status": "removed", "shipping_date_from": "2026-11-06 11:00" });
    let order = read(&one_date).order.expect("a cancellation");
    assert_eq!(order.shipping_dates, None);
}

#[test]
fn where_there_are_too_many_faults_what_costs_the_order_and_what_was_lost_is_among_those_told() {
    let lines = vec![json!({ "external_id": "uid" }); 3];
    let mut order = json!({ "id": "a", "status": "removed", "order_item_list": lines });
    order["client"] = json!({ "id": "w".repeat(256) });
    order["comment"] = json!({ "a": 1 });
    order["delivery_cost"] = json!("much");
    let element = parse(&order.to_string(), &rules(), 3);
    assert_eq!(element.faults.len(), 1, "{:?}", element.faults);
    assert_eq!(element.faults[0].field, "client.id");
    let lost: Vec<_> = element
        .warnings
        .iter()
        .filter(|warning| warning.is_loss())
        .collect();
    assert_eq!(lost.len(), 2, "{:?}", element.warnings);
    assert!(element.missing.len() <= 3 && element.order.is_none());
}

#[test]
fn what_comes_with_a_cancellation_and_is_not_taken_is_said() {
    for (part, warned) in [
        (
            json!({ "shipping_address": { "city": "Эжва" } }),
            "shipping_address.street",
        ),
        (json!({ "client": { "username": "Один" } }), "client.phone"),
        (
            json!({ "order_item_list": [{ "product_id": "a" }] }),
            "order_item_list[0].price",
        ),
        (
            json!({ "shipping_date_from": "2026-11-06 11:00" }),
            "shipping_date_to",
        ),
    ] {
        let mut order = json!({ "id": "a", "status": "removed" });
        order
            .as_object_mut()
            .expect("an object")
            .extend(part.as_object().cloned().expect("one"));
        let warnings = read(&order).warnings;
        assert_eq!(warnings[0].field, warned, "{warnings:?}");
        assert!(warnings[0].is_loss());
    }
}

#[test]
fn an_entry_alone_is_a_list_of_one_and_a_list_of_one_object_that_object() {
    let one = json!({ "product_id": "a", "price": 1, "quantity": 2 });
    for (field, value) in [
        ("order_item_list", one.clone()),
        ("client", json!([object("Client")])),
        ("shipping_address", json!([object("ShippingAddress")])),
    ] {
        let mut order = object("Order");
        order[field] = value.clone();
        let element = read(&order);
        assert_eq!(
            (element.faults, element.warnings),
            (vec![], vec![]),
            "{field}"
        );
    }
    let mut order = object("Order");
    order["client"]["addresses"] = object("Address");
    let element = read(&order);
    assert_eq!(element.warnings, []);
    assert_eq!(
        element.order.map(|order| order.client_addresses().len()),
        Some(1)
    );
    // Told where it would stand in the list.
    let mut order = object("Order");
    order["order_item_list"] = json!({ "product_id": "a", "price": 1 });
    assert_eq!(read(&order).faults[0].field, "order_item_list[0].quantity");
    for no_entry in [json!({}), json!({ "a": {} }), json!({ "product": one })] {
        order["order_item_list"] = no_entry;
        let fault = &read(&order).faults[0];
        assert_eq!(
            (&*fault.field, fault.code),
            ("order_item_list", FaultCode::WrongType)
        );
    }
}

#[test]
fn codes_of_another_system_are_no_numbers_of_ours_and_no_placeholder_names_anybody() {
    for (sent, number) in [
        (json!("000017845"), None),
        (json!("7e2"), None),
        (json!("7"), Some(7)),
        (json!("7.0"), Some(7)),
        (json!(7e2), Some(700)),
    ] {
        let mut order = object("Order");
        order["external_id"] = sent.clone();
        let element = read(&order);
        assert_eq!(element.external_id, number, "{sent}");
        assert_eq!(element.warnings.is_empty(), number.is_some(), "{sent}");
    }
    for placeholder in [
        "{00000000-0000-0000-0000-000000000000}",
        "00",
        "-0",
        "0.0",
        "00000000000000000000000000000000",
    ] {
        let mut order = object("Order");
        order["client"]["id"] = json!(placeholder);
        assert!(!read(&order).client.is_registered(), "{placeholder}");
        order["client"]["external_id"] = json!(placeholder);
        assert_eq!(read(&order).warnings, [], "{placeholder}");
    }
}

#[test]
fn messages_say_what_is_so_in_both_languages() {
    let told = |pointer: &str, value: Value| {
        let mut order = object("Order");
        *order.pointer_mut(pointer).expect("a field") = value;
        let element = read(&order);
        let faults = element
            .faults
            .iter()
            .map(|fault| [Language::Ru, Language::En].map(|language| fault.message(language)));
        let warnings = element.warnings.iter().map(|warning| {
            [Language::Ru, Language::En].map(|language| warning.message(language).into_owned())
        });
        faults.chain(warnings).next().expect("something is told")
    };
    for (pointer, value, ru, en) in [
        (
            "/total",
            json!(-1),
            "вне допустимых пределов: 0 … 9999999999.99",
            "out of range: 0 … 9999999999.99",
        ),
        (
            "/order_item_list/0/price",
            json!("1e9"),
            "вне допустимых пределов: 0 … 99999999.99",
            "out of range: 0 … 99999999.99",
        ),
        (
            "/order_item_list/0/quantity",
            json!(1.5),
            "неверный тип, ожидается целое число",
            "wrong type, an integer expected",
        ),
        (
            "/order_item_list/0/quantity",
            json!(0),
            "вне допустимых пределов: 1 … 2147483647",
            "out of range: 1 … 2147483647",
        ),
        (
            "/total",
            json!("118.335"),
            "округлено до сотых",
            "rounded to two decimals",
        ),
        (
            "/coins",
            json!("много"),
            "неверный тип, ожидается число; значение не учтено",
            "wrong type, a number expected; the value was left out",
        ),
        (
            "/comment",
            json!("a\0"),
            "символ NUL (\\u0000) отброшен",
            "the character NUL (\\u0000) is left out",
        ),
        (
            "/shipping_date_from",
            json!("вчера"),
            "неверный формат, можно так: 2019-11-06T11:00:00Z, 2019-11-06T11:00:00+03:00, 2019-11-06 11:00:00, 06.11.2019 11:00:00",
            "invalid format, use one of: 2019-11-06T11:00:00Z, 2019-11-06T11:00:00+03:00, 2019-11-06 11:00:00, 06.11.2019 11:00:00",
        ),
        (
            "/shipping_date_from",
            json!("2019-02-30 11:00"),
            "такой даты или времени нет (годы с 1 по 9999)",
            "there is no such date or time (years 1 to 9999)",
        ),
        (
            "/created_at",
            json!("31.02.2019"),
            "такой даты или времени нет (годы с 1 по 9999); значение не учтено",
            "there is no such date or time (years 1 to 9999); the value was left out",
        ),
        (
            "/shipping_address/house",
            json!("19 корпус 2"),
            "длиннее 10 символов, сохранено целиком",
            "longer than 10 characters, kept whole",
        ),
        (
            "/client/username",
            json!("ж".repeat(1_001)),
            "длиннее 1000 символов, конец отброшен",
            "longer than 1000 characters, the end is left out",
        ),
        (
            "/client/phone",
            json!("89191991919 доб. 12"),
            "кроме номера есть что-то ещё, взят только он",
            "there is more than the number, only the number was taken",
        ),
    ] {
        assert_eq!(told(pointer, value), [ru, en], "{pointer}");
    }
}
