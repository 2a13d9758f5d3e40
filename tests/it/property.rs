//! What holds for any order and any body: nothing of it is lost, and nothing brings the service down.

use aqua_orders::order::fields;
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp, changed, example_request, order},
    raw,
};

/// Tries a property on a service of its own with so many values.
fn holds<S: Strategy>(cases: u32, values: &S, property: &impl AsyncFn(&TestApp, S::Value)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::start());
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(values, |value| {
            runtime.block_on(property(&app, value));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// Hundredths, and the text they leave as: every digit, no needless zero.
#[derive(Debug, Clone)]
struct Amount {
    sent: String,
    left: String,
}

fn amount(below: u64) -> impl Strategy<Value = Amount> {
    (0..below, 0..6_usize).prop_map(|(hundredths, spelling)| {
        let (whole, part) = (hundredths / 100, hundredths % 100);
        let left = match part {
            0 => whole.to_string(),
            part if part % 10 == 0 => format!("{whole}.{}", part / 10),
            part => format!("{whole}.{part:02}"),
        };
        let sent = match spelling {
            0 => left.clone(),
            1 => format!("\"{left}\""),
            2 => format!("{whole}.{part:02}"),
            3 => format!("\"{whole}.{part:02}000\""),
            4 => format!("{hundredths}e-2"),
            _ => format!("{whole}{part:02}00E-4"),
        };
        Amount { sent, left }
    })
}

/// A text of at most so many characters, any of them, and a JSON spelling of it.
fn text(max: usize) -> impl Strategy<Value = (String, String)> {
    let character = prop_oneof![
        any::<char>(),
        select(vec![
            'Ж', 'ё', ' ', '"', '\\', '\n', '/', '\u{7f}', '\u{feff}', '😀'
        ])
    ];
    (vec(character, 1..=max), any::<bool>()).prop_map(|(characters, escaped)| {
        let text: String = characters.into_iter().filter(|c| *c != '\0').collect();
        // Nothing left is as good as null; that has tests of its own.
        let text = if text.is_empty() {
            "-".to_owned()
        } else {
            text
        };
        let spelling = if escaped {
            let units = text
                .encode_utf16()
                .fold(String::new(), |units, unit| format!("{units}\\u{unit:04x}"));
            format!("\"{units}\"")
        } else {
            json!(text).to_string()
        };
        (text, spelling)
    })
}

/// An order's fields as JSON texts, and what is to be answered at the same pointers.
fn rich_order() -> impl Strategy<Value = Vec<(&'static str, String, String)>> {
    let texts = |pointer: &'static str, max| {
        text(max).prop_map(move |(text, spelling)| (pointer, spelling, json!(text).to_string()))
    };
    let amounts = |pointer: &'static str, below| {
        amount(below).prop_map(move |amount| (pointer, amount.sent, amount.left))
    };
    let integers = |pointer: &'static str, min: i64, max: i64| {
        (min..=max, any::<bool>()).prop_map(move |(number, quoted)| {
            let sent = if quoted {
                format!("\"{number}\"")
            } else {
                number.to_string()
            };
            (pointer, sent, number.to_string())
        })
    };
    let fields: Vec<BoxedStrategy<(&str, String, String)>> = vec![
        amounts("/total", 1_000_000_000_000).boxed(),
        amounts("/delivery_cost", 1_000_000_000_000).boxed(),
        amounts("/coins", 1_000_000_000_000).boxed(),
        amounts("/order_item_list/0/price", 10_000_000_000).boxed(),
        integers("/order_item_list/0/quantity", 1, i32::MAX.into()).boxed(),
        integers("/order_item_list/0/order_product_id", i64::MIN, i64::MAX).boxed(),
        integers("/count_of_returned_bottles", 0, i32::MAX.into()).boxed(),
        integers("/client/account_number", i64::MIN, i64::MAX).boxed(),
        texts("/payment_type", 255).boxed(),
        texts("/comment", 1000).boxed(),
        texts("/ask_for_checkout", 255).boxed(),
        texts("/order_item_list/0/name", 255).boxed(),
        texts("/client/username", 255).boxed(),
        texts("/client/email", 255).boxed(),
        texts("/client/comment", 1000).boxed(),
        texts("/shipping_address/city", 255).boxed(),
        texts("/shipping_address/street", 255).boxed(),
        texts("/shipping_address/house", 10).boxed(),
        texts("/shipping_address/str", 255).boxed(),
        texts("/shipping_address/entrance", 10).boxed(),
        texts("/shipping_address/floor", 10).boxed(),
        texts("/shipping_address/room", 10).boxed(),
    ];
    fields
}

#[test]
fn parsing_and_printing_keeps_every_amount_and_text() {
    let orders = vec(rich_order(), 1..8);
    holds(16, &orders, &async |app, orders| {
        let elements: Vec<String> = orders
            .iter()
            .enumerate()
            .map(|(index, fields)| {
                // Every field is set to a text of its own first: one may hold what looks like another's place.
                let place = |n: usize| format!("<{n} of {}>", fields.len());
                let whole = fields.iter().enumerate().fold(
                    order(&format!("order {index}")),
                    |order, (n, (pointer, ..))| changed(order, pointer, json!(place(n))),
                );
                let whole = whole.to_string();
                let mut rest = whole.as_str();
                let mut element = String::new();
                while let Some(at) = rest.find("\"<") {
                    let end = at + rest[at..].find(">\"").unwrap() + 2;
                    let n = rest[at + 2..end]
                        .split(' ')
                        .next()
                        .unwrap()
                        .parse::<usize>()
                        .unwrap();
                    element.push_str(&rest[..at]);
                    element.push_str(&fields[n].1);
                    rest = &rest[end..];
                }
                element + rest
            })
            .collect();
        let batch = raw::batch(&elements);
        let mut texts = Vec::new();
        // Sent again, they are read back from the database.
        for _ in 0..2 {
            let answer = Answer::of(app.request().body(batch.clone())).await;
            for (index, fields) in orders.iter().enumerate() {
                assert_eq!(
                    answer.entry(&format!("order {index}"))["success"],
                    true,
                    "{}",
                    answer.text
                );
                let order = raw::at(&answer.text, &format!("/data/order {index}/data/0")).unwrap();
                for (pointer, sent, left) in fields {
                    let is = raw::at(order, pointer).unwrap();
                    let same = if left.starts_with('"') {
                        serde_json::from_str::<Value>(is).unwrap()
                            == serde_json::from_str::<Value>(left).unwrap()
                    } else {
                        is == left
                    };
                    assert!(same, "{pointer}: {sent} left as {is}");
                }
            }
            texts.push(answer.text);
        }
        assert_eq!(texts[0], texts[1]);
    });
}

/// The codes that an order's fault may have.
const CODES: [&str; 11] = [
    "required",
    "wrong_type",
    "too_long",
    "out_of_range",
    "not_allowed",
    "invalid_format",
    "invalid_range",
    "empty",
    "too_many",
    "not_found",
    "conflict",
];

/// Whatever came: a processed array, or an envelope that says what was wrong with the whole.
fn is_an_answer(answer: &Answer) {
    let body = &answer.body;
    if answer.status == StatusCode::OK {
        assert_eq!(body["success"], true);
        for key in answer.keys() {
            let entry = answer.entry(&key);
            if entry["success"] == true {
                assert!(entry["data"][0]["id"].is_string(), "{entry}");
                answer.warnings(&key);
                continue;
            }
            let faults = answer.faults(&key);
            assert!(!faults.is_empty(), "{entry}");
            for fault in faults {
                let (_, code) = fault.rsplit_once(": ").unwrap();
                assert!(CODES.contains(&code), "{fault}");
            }
        }
        return;
    }
    assert!(
        [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE].contains(&answer.status),
        "{}",
        answer.text
    );
    assert_eq!(
        (&body["success"], &body["data"]),
        (&json!(false), &json!({}))
    );
    assert!(body["errors"][0]["code"].is_string(), "{body}");
}

/// The names of all our fields, and some that are none.
fn names() -> Vec<&'static str> {
    let objects = fields::objects().into_iter();
    let ours = objects.flat_map(|(_, _, fields)| fields.iter().map(|field| field.name));
    ours.chain(["", "#0"]).collect()
}

/// JSON values that trip somebody up, as texts.
fn odd() -> impl Strategy<Value = String> {
    let fixed: Vec<String> = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "0.1",
        "0.005",
        "1e2",
        "1e400",
        "-1e400",
        "1e-400",
        "2147483647",
        "2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "9999999999.99",
        "99999999999999999999999999999999999999",
        r#""""#,
        r#"" ""#,
        r#""0""#,
        r#""1""#,
        r#""-1""#,
        r#""1e5""#,
        r#""new""#,
        r#""fiz""#,
        r#""true""#,
        r#""a\u0000b""#,
        r#""\ud800""#,
        r#""\ud83d\ude00""#,
        r#""'; DROP TABLE orders; --""#,
        r#""{a,b}""#,
        r#""\\x00""#,
        r#""+79191991919""#,
        r#""9191991919""#,
        r#""2026-11-06 17:30""#,
        r#""0001-01-01T00:00:00""#,
        r#""9999-12-31T23:59:59Z""#,
        r#""1400-01-01 00:00:00""#,
        "[]",
        "{}",
        "[null]",
        "[{}]",
        r#"["9191991919"]"#,
        r#"{"id":1,"id":null}"#,
        r#"{"\ud800":1}"#,
        r#"{"id":"a","username":"b","phone":"9191991919"}"#,
        r#"[{"product_id":"a","price":1,"quantity":1}]"#,
    ]
    .map(str::to_owned)
    .into();
    prop_oneof![
        8 => select(fixed),
        1 => (1..200_usize).prop_map(|n| format!("{}{}", "[".repeat(n), "]".repeat(n))),
        1 => (1..600_usize).prop_map(|n| format!("\"{}\"", "Ж".repeat(n))),
        1 => (1..600_usize).prop_map(|n| format!("0.{}1", "0".repeat(n))),
        1 => (1..600_usize).prop_map(|n| "9".repeat(n)),
        2 => text(300).prop_map(|(_, spelling)| spelling),
    ]
}

/// Any JSON, with our names among its keys.
fn any_json() -> impl Strategy<Value = String> {
    odd().prop_recursive(4, 48, 10, |inner| {
        let key = prop_oneof![
            9 => select(names()).prop_map(|name| json!(name).to_string()),
            1 => text(5).prop_map(|(_, spelling)| spelling),
        ];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|entries| raw::batch(&entries)),
            btree_map(key, inner, 0..12).prop_map(|fields| {
                let fields: Vec<String> = fields
                    .into_iter()
                    .map(|(key, value)| format!("{key}:{value}"))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

#[test]
fn no_json_makes_a_panic_or_a_5xx() {
    holds(96, &any_json(), &async |app, body| {
        let answer = Answer::of(app.request().body(body.clone())).await;
        is_an_answer(&answer);
        assert_eq!(
            answer.status == StatusCode::OK,
            body.starts_with('['),
            "{}",
            answer.text
        );
    });
}

#[test]
fn any_json_as_an_order_spoils_none_of_its_neighbours() {
    holds(64, &vec(any_json(), 1..6), &async |app, mut elements| {
        elements.insert(0, order("before").to_string());
        elements.push(order("after").to_string());
        let answer = Answer::of(app.request().body(raw::batch(&elements))).await;
        is_an_answer(&answer);
        for id in ["before", "after"] {
            assert_eq!(answer.order(id)["external_id"], id);
        }
        let keys = answer.keys();
        assert!(keys.len() <= elements.len());
        assert_eq!(
            (keys[0].as_str(), keys.last().map(String::as_str)),
            ("before", Some("after"))
        );
    });
}

/// All places in a value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (format!("{at}/{key}"), value))
            .collect(),
        Value::Array(entries) => entries
            .iter()
            .enumerate()
            .map(|(n, value)| (format!("{at}/{n}"), value))
            .collect(),
        _ => Vec::new(),
    };
    for (at, value) in inner {
        pointers(value, &at, found);
        found.push(at);
    }
}

/// An order with everything in it.
fn full_order(id: &str) -> Value {
    let mut order = changed(example_request()[0].clone(), "/id", json!(id));
    order["ask_for_checkout"] = json!("bill");
    order["payment_status"] = json!(true);
    order["created_at"] = json!("2026-01-01 10:00");
    order["count_of_returned_bottles"] = json!(2);
    order["shipping_address"]["user_address_id"] = Value::Null;
    for (field, value) in [
        ("phone", json!("+79083280832")),
        ("phones", json!(["9191991919"])),
        ("email", json!("a@example.org")),
        ("emai", json!("b@example.org")),
        ("comment", json!("-")),
    ] {
        order["client"][field] = value;
    }
    order
}

#[test]
fn no_change_to_a_good_order_makes_a_panic_or_a_5xx_or_spoils_its_neighbours() {
    let mut places = Vec::new();
    pointers(&full_order("x"), "", &mut places);
    let mutation = (select(places), option::weighted(0.9, odd()));
    // A few orders, each changed in one place or two.
    let batch = vec(vec(mutation, 1..3), 1..12);
    holds(96, &batch, &async |app, batch| {
        let mut elements = vec![order("before").to_string()];
        for (index, mutations) in batch.iter().enumerate() {
            let mut element = full_order(&format!("order {index}"));
            let mut texts = Vec::new();
            for (n, (pointer, value)) in mutations.iter().enumerate() {
                // A change above may have taken this place away.
                if element.pointer(pointer).is_some() {
                    let mark = format!("<{n}>");
                    let sent = value.as_ref().map_or(raw::ABSENT, |_| mark.as_str());
                    if value.is_none()
                        && matches!(
                            element.pointer(pointer.rsplit_once('/').unwrap().0),
                            Some(Value::Array(_))
                        )
                    {
                        continue;
                    }
                    element = changed(element, pointer, json!(sent));
                    texts.extend(value.as_ref().map(|value| (format!("\"{mark}\""), value)));
                }
            }
            elements.push(
                texts
                    .into_iter()
                    .fold(element.to_string(), |text, (mark, value)| {
                        text.replacen(&mark, value, 1)
                    }),
            );
        }
        elements.push(order("after").to_string());
        let answer = Answer::of(app.request().body(raw::batch(&elements))).await;
        is_an_answer(&answer);
        for id in ["before", "after"] {
            assert_eq!(answer.order(id)["external_id"], id);
        }
    });
}

#[test]
fn no_bytes_make_a_panic_or_a_5xx() {
    let good = json!([full_order("1"), order("2")])
        .to_string()
        .into_bytes();
    let damaged = vec((0..good.len(), 0..3_usize, any::<u8>()), 1..4).prop_map(move |damages| {
        let mut bytes = good.clone();
        for (at, how, byte) in damages {
            let at = at.min(bytes.len() - 1);
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        bytes
    });
    let brackets = vec(select(b"[]{}\",:0-1.e\\u \n\xEF\xBB\xBF".to_vec()), 0..40);
    let bytes = prop_oneof![vec(any::<u8>(), 0..100), brackets, damaged];
    holds(192, &bytes, &async |app, bytes| {
        is_an_answer(&Answer::of(app.request().body(bytes)).await);
    });
}
