//! Every field at its bounds and just past them, and all that is tolerated (contract §3): a table per object.

use std::collections::BTreeMap;

use serde_json::{Value, json, value::RawValue};
use sqlx::AssertSqlSafe;

use crate::support::{
    app::{Answer, TestApp, changed, guest_order, order},
    raw::{self, ABSENT},
};

/// What is to become of an order with one field changed.
enum Expected {
    /// The answered order has this text at this pointer.
    Shown(String, String),
    /// The database has this text at this pointer: `/orders`, `/order_item`, `/client` or `/address` and a column.
    Stored(String, String),
    /// Accepted, with this warning.
    Warned(String),
    /// Rejected, and this is the only fault (or one of all, when there are several).
    Refused(String),
}
use Expected::{Refused, Shown, Stored, Warned};

/// An order's field, the text it comes with, and what is expected.
struct Row {
    pointer: String,
    sent: String,
    expected: Vec<Expected>,
}

fn row<const N: usize>(pointer: &str, sent: impl Into<String>, expected: [Expected; N]) -> Row {
    Row {
        pointer: pointer.to_owned(),
        sent: sent.into(),
        expected: expected.into(),
    }
}

fn shown(pointer: &str, text: impl Into<String>) -> Expected {
    Shown(pointer.to_owned(), text.into())
}

fn stored(pointer: &str, text: impl Into<String>) -> Expected {
    Stored(pointer.to_owned(), text.into())
}

fn warned(warning: &str) -> Expected {
    Warned(warning.to_owned())
}

fn refused(fault: &str) -> Expected {
    Refused(fault.to_owned())
}

/// `order_item_list[0].price` for `/order_item_list/0/price`.
fn path(pointer: &str) -> String {
    let steps = pointer
        .split('/')
        .skip(1)
        .map(|step| match step.parse::<usize>() {
            Ok(index) => format!("[{index}]"),
            Err(_) => format!(".{step}"),
        });
    steps.collect::<String>().trim_start_matches('.').to_owned()
}

/// Rows of one field that is answered where it was sent.
fn taken(pointer: &str, shown_at: &str, pairs: &[(&str, &str)]) -> Vec<Row> {
    pairs
        .iter()
        .map(|(sent, left)| row(pointer, *sent, [shown(shown_at, *left)]))
        .collect()
}

/// Rows of one field with what it refuses.
fn not_taken(pointer: &str, pairs: &[(&str, &str)]) -> Vec<Row> {
    pairs
        .iter()
        .map(|(sent, code)| {
            row(
                pointer,
                *sent,
                [Refused(format!("{}: {code}", path(pointer)))],
            )
        })
        .collect()
}

fn required(pointer: &str) -> Vec<Row> {
    not_taken(
        pointer,
        &[
            (ABSENT, "required"),
            ("null", "required"),
            (r#""""#, "required"),
        ],
    )
}

/// A text of at most `max` characters, answered or stored at `kept`.
fn text(pointer: &str, kept: &dyn Fn(String) -> Expected, max: usize) -> Vec<Row> {
    let quoted = |text: &str| format!("\"{text}\"");
    let mut rows: Vec<Row> = [
        "a",
        " ",
        "Ж",
        "😀",
        "2",
        "0",
        "null",
        "a b  c",
        r"\\",
        r#"\""#,
        r"\n",
        "Кут's \u{301}",
        "<b>&</b>",
        "%s",
    ]
    .into_iter()
    .map(quoted)
    .chain([quoted(&"Ж".repeat(max)), quoted(&"😀".repeat(max))])
    .map(|sent| row(pointer, sent.clone(), [kept(sent)]))
    .collect();
    rows.push(row(
        pointer,
        r#""\u0416\u002f\ud83d\ude00""#,
        [kept(r#""Ж/😀""#.into())],
    ));
    let long = [
        "Ж".repeat(max + 1),
        "😀".repeat(max + 1),
        r"\ud83d\ude00".repeat(max + 1),
        " ".repeat(max + 1),
    ];
    for text in long {
        rows.extend(not_taken(pointer, &[(&quoted(&text), "too_long")]));
    }
    rows.extend(not_taken(
        pointer,
        &[
            (r#""a\u0000b""#, "invalid_format"),
            (r#""\u0000""#, "invalid_format"),
            (r#""\ud800""#, "invalid_format"),
            (r#""a\udc00""#, "invalid_format"),
            (r#""\ud83d \ude00""#, "invalid_format"),
            ("true", "wrong_type"),
            ("[]", "wrong_type"),
            (r#"["a"]"#, "wrong_type"),
            ("{}", "wrong_type"),
        ],
    ));
    rows
}

/// A sender's id: a text, or a number for one.
fn id(pointer: &str, kept: &dyn Fn(String) -> Expected) -> Vec<Row> {
    let mut rows = text(pointer, kept, 255);
    for (sent, left) in [
        ("68".to_owned(), "\"68\"".to_owned()),
        (
            "99999999999999999999".to_owned(),
            "\"99999999999999999999\"".to_owned(),
        ),
        ("1".repeat(255), format!("\"{}\"", "1".repeat(255))),
    ] {
        rows.push(row(pointer, sent, [kept(left)]));
    }
    rows.extend(not_taken(
        pointer,
        &[
            (&"1".repeat(256), "too_long"),
            ("1.5", "wrong_type"),
            ("1e2", "wrong_type"),
        ],
    ));
    rows
}

/// Decimals ≥ 0 with that many digits before the point.
fn amount(pointer: &str, shown_at: &str, digits: usize) -> Vec<Row> {
    let most = format!("{}.99", "9".repeat(digits));
    let quoted_most = format!("\"{most}\"");
    let past = format!("1{}", "0".repeat(digits));
    let past_by_a_hair = format!("{}.995", "9".repeat(digits));
    let long_tail = format!("0.1{}", "0".repeat(60));
    let mut rows = taken(
        pointer,
        shown_at,
        &[
            ("0", "0"),
            ("-0", "0"),
            ("0.00", "0"),
            ("0.01", "0.01"),
            ("0.1", "0.1"),
            (r#""0.1""#, "0.1"),
            ("0.10", "0.1"),
            (&long_tail, "0.1"),
            ("355", "355"),
            ("355.0", "355"),
            (r#""355.00""#, "355"),
            (r#""355.50""#, "355.5"),
            ("1e2", "100"),
            (r#""1E+2""#, "100"),
            ("1250e-2", "12.5"),
            ("4.35", "4.35"),
            ("1.15", "1.15"),
            (&most, &most),
            (&quoted_most, &most),
        ],
    );
    rows.extend(not_taken(
        pointer,
        &[
            (&past, "out_of_range"),
            (&past_by_a_hair, "out_of_range"),
            ("0.001", "out_of_range"),
            (r#""0.005""#, "out_of_range"),
            ("-0.01", "out_of_range"),
            (r#""-1""#, "out_of_range"),
            ("1e400", "out_of_range"),
            ("1e-400", "out_of_range"),
            (r#""1e400""#, "out_of_range"),
            (r#""abc""#, "wrong_type"),
            (r#"" ""#, "wrong_type"),
            (r#""1,5""#, "wrong_type"),
            (r#""1 000""#, "wrong_type"),
            (r#""0x10""#, "wrong_type"),
            (r#""NaN""#, "wrong_type"),
            (r#""Infinity""#, "wrong_type"),
            (r#""٣""#, "wrong_type"),
            ("true", "wrong_type"),
            ("[1]", "wrong_type"),
            ("{}", "wrong_type"),
            (r#""1\u0000""#, "invalid_format"),
            (r#""\ud800""#, "invalid_format"),
        ],
    ));
    rows
}

/// Integers from `min` to `max`.
fn integer(pointer: &str, shown_at: &str, min: i64, max: i64) -> Vec<Row> {
    let (least, most) = (min.to_string(), max.to_string());
    let quoted = format!("\"{max}\"");
    let with_zeros = format!("{min}.00");
    let before = (i128::from(min) - 1).to_string();
    let past = (i128::from(max) + 1).to_string();
    let quoted_past = format!("\"{past}\"");
    let mut rows = taken(
        pointer,
        shown_at,
        &[
            (&least, &least),
            (&with_zeros, &least),
            (&most, &most),
            (&quoted, &most),
            ("3", "3"),
            (r#""3""#, "3"),
            ("3.0", "3"),
            (r#""3.00""#, "3"),
            ("3e1", "30"),
        ],
    );
    rows.extend(not_taken(
        pointer,
        &[
            (&before, "out_of_range"),
            (&past, "out_of_range"),
            (&quoted_past, "out_of_range"),
            ("1e400", "out_of_range"),
            ("1.5", "wrong_type"),
            (r#""1.5""#, "wrong_type"),
            (r#""three""#, "wrong_type"),
            ("true", "wrong_type"),
            ("[]", "wrong_type"),
            ("{}", "wrong_type"),
            (r#""\u0000""#, "invalid_format"),
            (r#""\udfff""#, "invalid_format"),
        ],
    ));
    rows
}

/// Our own number of a record, as the sender remembers it; `first` is free.
fn external_id(pointer: &str, kept: &dyn Fn(String) -> Expected, first: i32) -> Vec<Row> {
    let mut rows = vec![
        row(pointer, first.to_string(), [kept(first.to_string())]),
        row(
            pointer,
            format!("\"{}\"", first + 1),
            [kept((first + 1).to_string())],
        ),
        row(
            pointer,
            format!("{}.0", first + 2),
            [kept((first + 2).to_string())],
        ),
        row(pointer, i32::MAX.to_string(), [kept(i32::MAX.to_string())]),
    ];
    for absent in [ABSENT, "null", r#""""#, "0", r#""0""#, "0.0", "-0"] {
        rows.push(row(pointer, absent, []));
    }
    for impossible in [
        "-1",
        "2147483648",
        r#""2147483648""#,
        "1.5",
        "99999999999999999999999",
        r#""657f9553-ff97-11e9-80d3-001e4f377cd7""#,
        r#""ВОДА-000068""#,
        r#""68a""#,
        r#"" ""#,
    ] {
        rows.push(row(
            pointer,
            impossible,
            [Warned(format!("{}: external_id_ignored", path(pointer)))],
        ));
    }
    rows.extend(not_taken(
        pointer,
        &[
            ("true", "wrong_type"),
            ("[]", "wrong_type"),
            ("{}", "wrong_type"),
            (r#""\u0000""#, "invalid_format"),
            (r#""\ud800""#, "invalid_format"),
        ],
    ));
    rows
}

fn datetime(pointer: &str, shown_at: &str) -> Vec<Row> {
    let mut rows = taken(
        pointer,
        shown_at,
        &[
            (r#""2026-11-06T14:30:15Z""#, r#""2026-11-06 17:30:15""#),
            (r#""2026-11-06t14:30:15z""#, r#""2026-11-06 17:30:15""#),
            (
                r#""2026-11-06T14:30:15.999999999Z""#,
                r#""2026-11-06 17:30:15""#,
            ),
            (r#""2026-11-06T14:30:15+03:00""#, r#""2026-11-06 14:30:15""#),
            (r#""2026-11-06 19:30:15+05:00""#, r#""2026-11-06 17:30:15""#),
            (r#""2026-11-06T14:30:15-00:30""#, r#""2026-11-06 18:00:15""#),
            (r#""2026-11-06T17:30:15""#, r#""2026-11-06 17:30:15""#),
            (r#""2026-11-06 17:30:15""#, r#""2026-11-06 17:30:15""#),
            (r#""2026-11-06T17:30""#, r#""2026-11-06 17:30:00""#),
            (r#""2026-11-06 17:30""#, r#""2026-11-06 17:30:00""#),
        ],
    );
    rows.extend(not_taken(
        pointer,
        &[
            (r#""2026-11-06""#, "invalid_format"),
            (r#""06.11.2026 17:30""#, "invalid_format"),
            (r#""2026-02-29T17:30:00Z""#, "invalid_format"),
            (r#""2026-11-06T24:00:00Z""#, "invalid_format"),
            (r#""2026-11-06T17:60:00Z""#, "invalid_format"),
            (r#""2026-11-06T17:30:15+25:00""#, "invalid_format"),
            (r#""10000-01-01T00:00:00Z""#, "invalid_format"),
            (r#""0000-01-01T00:00:00Z""#, "invalid_format"),
            (r#""2026-11-06T17:30:15Z\u0000""#, "invalid_format"),
            (r#""\ud800""#, "invalid_format"),
            (r#""завтра""#, "invalid_format"),
            ("1762430000", "wrong_type"),
            ("true", "wrong_type"),
            ("[]", "wrong_type"),
            ("{}", "wrong_type"),
        ],
    ));
    rows
}

/// Spellings of a phone and how it leaves.
const PHONES: [(&str, &str); 14] = [
    (r#""+79191991919""#, r#""9191991919""#),
    (r#""89191991919""#, r#""9191991919""#),
    (r#""79191991919""#, r#""9191991919""#),
    (r#""9191991919""#, r#""9191991919""#),
    ("9191991919", r#""9191991919""#),
    ("79191991919", r#""9191991919""#),
    (r#""+7 (919) 199-19-19""#, r#""9191991919""#),
    (r#"" 8 [919] 199 19 19 ""#, r#""9191991919""#),
    (r#""8\u00a0919\u00a0199–19—19""#, r#""9191991919""#),
    (r#""+12345678""#, r#""+12345678""#),
    (r#""+123456789012345""#, r#""+123456789012345""#),
    (r#""+44 20 7946-0958""#, r#""+442079460958""#),
    (r#""+77011234567""#, r#""+77011234567""#),
    (r#""87011234567""#, r#""+77011234567""#),
];

const NO_PHONES: [(&str, &str); 17] = [
    (r#""+1234567""#, "invalid_format"),
    (r#""+1234567890123456""#, "invalid_format"),
    (r#""919199191""#, "invalid_format"),
    (r#""99191991919""#, "invalid_format"),
    (r#""891919919190""#, "invalid_format"),
    (r#""++79191991919""#, "invalid_format"),
    (r#""9191991919 доб. 12""#, "invalid_format"),
    (r#""9191991919, 9191991918""#, "invalid_format"),
    (r#""нет""#, "invalid_format"),
    (r#"" ""#, "invalid_format"),
    (r#""9191991919\u0000""#, "invalid_format"),
    (r#""\ud800""#, "invalid_format"),
    ("12", "invalid_format"),
    ("9191991919.5", "invalid_format"),
    ("true", "wrong_type"),
    ("[]", "wrong_type"),
    ("{}", "wrong_type"),
];

/// The demo publication with a catalogue of one product and two payment types.
async fn app() -> TestApp {
    let app = TestApp::with(|config| {
        let publication = &mut config.publications[0];
        publication.rules.payment_types = Some(vec!["cash".into(), "card".into()]);
        // Out of the way of the numbers that rows bring along.
        publication.first_numbers.order = 1_000_000;
        publication.first_numbers.client = 1_000_000;
        publication.first_numbers.address = 1_000_000;
    })
    .await;
    sqlx::raw_sql(
        "INSERT INTO product (publication, number, name) VALUES ('demodelivery', 28, 'Вода 19 л');
         INSERT INTO product_sender_id VALUES ('demodelivery', 'water-19', 28)",
    )
    .execute(&app.pool())
    .await
    .unwrap();
    app
}

/// Sends each row as an order of its own, all in one batch, and holds the answer and the database against the table.
async fn check(base: impl Fn(&str) -> Value, rows: Vec<Row>) {
    let app = app().await;
    let elements: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(index, row)| raw::set(base(&format!("row {index}")), &row.pointer, &row.sent))
        .collect();
    let answer = Answer::of(app.request().body(raw::batch(&elements))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let entries: BTreeMap<String, &RawValue> =
        serde_json::from_str(raw::at(&answer.text, "/data").unwrap()).unwrap();
    assert_eq!(entries.len(), rows.len());
    let stored = stored_rows(&app).await;

    let mut wrong = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let key = key(index, row);
        let Some(entry) = entries.get(&key) else {
            wrong.push(format!("{} {}: no entry {key}", row.pointer, row.sent));
            continue;
        };
        let mut faults: Vec<String> = Vec::new();
        let mut warnings: Vec<String> = Vec::new();
        for expected in &row.expected {
            match expected {
                Refused(fault) => faults.push(fault.clone()),
                Warned(warning) => warnings.push(warning.clone()),
                Shown(pointer, text) => {
                    let is = raw::at(entry.get(), &format!("/data/0{pointer}"));
                    if is != Some(text) {
                        wrong.push(format!(
                            "{} {}: shown {is:?}, not {text}",
                            row.pointer, row.sent
                        ));
                    }
                }
                Stored(pointer, text) => {
                    let is = stored.get(&key).and_then(|stored| raw::at(stored, pointer));
                    if is != Some(text) {
                        wrong.push(format!(
                            "{} {}: stored {is:?}, not {text}",
                            row.pointer, row.sent
                        ));
                    }
                }
            }
        }
        faults.sort();
        warnings.sort();
        let accepted = answer.entry(&key)["success"] == true;
        let (is, due) = match (accepted, faults.is_empty()) {
            (true, _) => (answer.warnings(&key), warnings),
            (false, _) => (answer.faults(&key), faults.clone()),
        };
        if accepted != faults.is_empty() || is != due || accepted != stored.contains_key(&key) {
            wrong.push(format!(
                "{} {}: accepted {accepted}, {is:?}, not {due:?}",
                row.pointer, row.sent
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

/// Under which key a row's order is answered.
fn key(index: usize, row: &Row) -> String {
    if row.pointer != "/id" {
        return format!("row {index}");
    }
    let id = row.expected.iter().find_map(|expected| match expected {
        Shown(pointer, text) if pointer == "/external_id" => serde_json::from_str(text).unwrap(),
        _ => None,
    });
    id.unwrap_or_else(|| format!("#{index}"))
}

/// What the database has of each order, by the sender's id: the rows of all its tables as one JSON text.
async fn stored_rows(app: &TestApp) -> BTreeMap<String, String> {
    let sql = "SELECT o.sender_id,
                      json_build_object('orders', row_to_json(o), 'order_item', row_to_json(i),
                                        'client', row_to_json(c), 'address', row_to_json(a))::text
               FROM orders o
               JOIN order_item i ON i.order_number = o.number AND i.position = 0
               JOIN client c ON c.number = o.client_number
               JOIN LATERAL (SELECT * FROM address WHERE client_number = c.number
                             ORDER BY number = o.address_number, number LIMIT 1) a ON true";
    sqlx::query_as::<_, (String, String)>(AssertSqlSafe(sql))
        .fetch_all(&app.pool())
        .await
        .unwrap()
        .into_iter()
        .collect()
}

#[tokio::test]
async fn the_fields_of_an_order_at_their_bounds_and_just_past_them() {
    let mut rows = required("/id");
    // " " and the like are ids as good as any: whoever sends one gets it back.
    rows.extend(id("/id", &|text| shown("/external_id", text)));
    rows.extend(external_id(
        "/external_id",
        &|number| shown("/id", format!("\"{number}\"")),
        70_001,
    ));

    rows.extend(required("/status"));
    for status in [
        r#""new""#,
        r#""approved""#,
        r#""completed""#,
        r#""removed""#,
    ] {
        rows.extend(taken("/status", "/status", &[(status, status)]));
    }
    rows.extend(not_taken(
        "/status",
        &[
            (r#""NEW""#, "not_allowed"),
            (r#""done""#, "not_allowed"),
            (r#"" new""#, "not_allowed"),
            ("1", "wrong_type"),
            ("true", "wrong_type"),
            ("[]", "wrong_type"),
            (r#""new\u0000""#, "invalid_format"),
            (r#""\ud800""#, "invalid_format"),
        ],
    ));

    rows.extend(datetime("/created_at", "/created_at"));
    for absent in [ABSENT, "null", r#""""#, r#""0001-01-01T00:00:00""#] {
        rows.push(row("/created_at", absent, []));
    }
    for pointer in ["/shipping_date_from", "/shipping_date_to"] {
        rows.extend(required(pointer));
        rows.extend(datetime(pointer, pointer));
        rows.extend(not_taken(
            pointer,
            &[(r#""0001-01-01T00:00:00""#, "required")],
        ));
    }
    // The order runs from 11:00 to 18:00 UTC.
    rows.extend(taken(
        "/shipping_date_from",
        "/shipping_date_to",
        &[(r#""2026-11-06T18:00:00Z""#, r#""2026-11-06 21:00:00""#)],
    ));
    rows.push(row(
        "/shipping_date_from",
        r#""2026-11-06T18:00:01Z""#,
        [refused("shipping_date_to: invalid_range")],
    ));
    rows.push(row(
        "/shipping_date_to",
        r#""2026-11-06T10:59:59Z""#,
        [refused("shipping_date_to: invalid_range")],
    ));
    rows.push(row(
        "/shipping_date_to",
        r#""2026-11-06 13:59""#,
        [refused("shipping_date_to: invalid_range")],
    ));

    rows.extend(required("/total"));
    for pointer in ["/total", "/delivery_cost", "/coins"] {
        rows.extend(amount(pointer, pointer, 10));
    }
    for pointer in [
        "/delivery_cost",
        "/coins",
        "/payment_type",
        "/comment",
        "/ask_for_checkout",
    ] {
        rows.extend(taken(
            pointer,
            pointer,
            &[(ABSENT, "null"), ("null", "null"), (r#""""#, "null")],
        ));
    }

    for known in [r#""cash""#, r#""card""#] {
        rows.extend(taken("/payment_type", "/payment_type", &[(known, known)]));
    }
    for row in text("/payment_type", &|text| shown("/payment_type", text), 255) {
        let unknown = matches!(row.expected[0], Shown(..))
            .then(|| warned("payment_type: payment_type_unknown"));
        rows.push(Row {
            expected: row.expected.into_iter().chain(unknown).collect(),
            ..row
        });
    }
    rows.extend(not_taken("/payment_type", &[("1", "wrong_type")]));

    rows.extend(taken(
        "/payment_status",
        "/payment_status",
        &[
            ("true", "true"),
            ("false", "false"),
            (r#""true""#, "true"),
            (r#""false""#, "false"),
            ("1", "true"),
            ("0", "false"),
            (r#""1""#, "true"),
            (r#""0""#, "false"),
            ("null", "false"),
            (r#""""#, "false"),
            (ABSENT, "false"),
        ],
    ));
    rows.extend(not_taken(
        "/payment_status",
        &[
            ("2", "wrong_type"),
            ("-1", "wrong_type"),
            (r#""yes""#, "wrong_type"),
            (r#""да""#, "wrong_type"),
            ("[]", "wrong_type"),
            ("{}", "wrong_type"),
            (r#""true\u0000""#, "invalid_format"),
            (r#""\ud800""#, "invalid_format"),
        ],
    ));

    rows.extend(
        text("/comment", &|text| shown("/comment", text), 20_000)
            .into_iter()
            .filter(|row| {
                // A comment may have any length.
                !matches!(&row.expected[0], Refused(fault) if fault.ends_with("too_long"))
            }),
    );
    rows.extend(not_taken("/comment", &[("5", "wrong_type")]));

    rows.extend(integer(
        "/count_of_returned_bottles",
        "/count_of_returned_bottles",
        0,
        i64::from(i32::MAX),
    ));
    rows.extend(taken(
        "/count_of_returned_bottles",
        "/count_of_returned_bottles",
        &[(ABSENT, "0"), ("null", "0"), (r#""""#, "0")],
    ));

    // A text or a boolean, echoed as sent: a text that spells a boolean stays a text.
    rows.extend(
        text(
            "/ask_for_checkout",
            &|text| shown("/ask_for_checkout", text),
            255,
        )
        .into_iter()
        .filter(|row| row.sent != "true"),
    );
    rows.extend(taken(
        "/ask_for_checkout",
        "/ask_for_checkout",
        &[
            (r#""bill""#, r#""bill""#),
            (r#""agreement""#, r#""agreement""#),
            (r#""true""#, r#""true""#),
            (r#""1""#, r#""1""#),
            ("true", "true"),
            ("false", "false"),
            ("1", "true"),
            ("0", "false"),
        ],
    ));
    rows.extend(not_taken(
        "/ask_for_checkout",
        &[("2", "wrong_type"), ("1e400", "wrong_type")],
    ));

    rows.extend(required("/order_item_list"));
    rows.extend(not_taken(
        "/order_item_list",
        &[
            ("[]", "empty"),
            ("{}", "wrong_type"),
            ("5", "wrong_type"),
            (r#""x""#, "wrong_type"),
            (r#""\u0000""#, "invalid_format"),
        ],
    ));
    for no_object in ["[null]", "[5]", r#"["x"]"#, "[[]]"] {
        rows.push(row(
            "/order_item_list",
            no_object,
            [refused("order_item_list[0]: wrong_type")],
        ));
    }
    rows.push(row(
        "/order_item_list",
        r#"[{"product_id":"water-19","price":0,"quantity":1},{}]"#,
        ["product_id", "price", "quantity"]
            .map(|field| Refused(format!("order_item_list[1].{field}: required"))),
    ));
    rows.push(row(
        "/order_item_list",
        r#"[{"product_id":"water-19","price":0,"quantity":1},{"product_id":"water-19","price":"0.10","quantity":2}]"#,
        [
            shown("/order_item_list/0/product_id", "28"),
            shown("/order_item_list/0/price", "0"),
            shown("/order_item_list/1/product_id", "28"),
            shown("/order_item_list/1/price", "0.1"),
            shown("/order_item_list/1/quantity", "2"),
        ],
    ));
    rows.extend(required("/client"));
    rows.extend(not_taken(
        "/client",
        &[
            ("[]", "wrong_type"),
            (r#""x""#, "wrong_type"),
            ("5", "wrong_type"),
        ],
    ));
    rows.push(row(
        "/client",
        "{}",
        [
            refused("client.phone: required"),
            refused("client.username: required"),
        ],
    ));
    rows.extend(required("/shipping_address"));
    rows.extend(not_taken(
        "/shipping_address",
        &[
            ("[]", "wrong_type"),
            (r#""x""#, "wrong_type"),
            ("5", "wrong_type"),
        ],
    ));
    rows.push(row(
        "/shipping_address",
        "{}",
        ["city", "street", "house", "str"]
            .map(|field| Refused(format!("shipping_address.{field}: required"))),
    ));
    for unknown in [
        "5",
        r#""x""#,
        "null",
        r#"{"a":[{"b":1e300}]}"#,
        r#""\u0000""#,
        "[[],{}]",
    ] {
        rows.push(row("/no_field_of_ours", unknown, []));
    }
    check(order, rows).await;
}

#[tokio::test]
async fn the_fields_of_an_order_item_at_their_bounds_and_just_past_them() {
    let not_found = || warned("order_item_list[0].product_id: product_not_found");
    let item = |field: &str| format!("/order_item_list/0/{field}");

    let mut rows = required(&item("product_id"));
    for row in id(&item("product_id"), &|text| {
        stored("/order_item/product_id", text)
    }) {
        let unknown = matches!(row.expected[0], Stored(..)).then(not_found);
        rows.push(Row {
            expected: row.expected.into_iter().chain(unknown).collect(),
            ..row
        });
    }
    rows.extend(taken(
        &item("product_id"),
        &item("product_id"),
        &[(r#""water-19""#, "28")],
    ));

    rows.extend(required(&item("price")));
    rows.extend(amount(&item("price"), &item("price"), 8));
    rows.extend(required(&item("quantity")));
    rows.extend(integer(
        &item("quantity"),
        &item("quantity"),
        1,
        i64::from(i32::MAX),
    ));
    rows.extend(not_taken(
        &item("quantity"),
        &[
            ("0", "out_of_range"),
            (r#""0""#, "out_of_range"),
            ("-5", "out_of_range"),
        ],
    ));

    rows.extend(id(&item("id"), &|text| {
        stored("/order_item/sender_id", text)
    }));
    rows.extend(external_id(
        &item("external_id"),
        &|number| stored("/order_item/external_id", number),
        1,
    ));
    rows.extend(text(
        &item("name"),
        &|text| shown("/order_item_list/0/name", text),
        255,
    ));
    rows.extend(not_taken(&item("name"), &[("5", "wrong_type")]));
    rows.extend(integer(
        &item("order_product_id"),
        &item("order_product_id"),
        i64::MIN,
        i64::MAX,
    ));
    for (field, column) in [
        ("id", "sender_id"),
        ("external_id", "external_id"),
        ("name", "name"),
        ("order_product_id", "order_product_id"),
    ] {
        for absent in [ABSENT, "null", r#""""#] {
            rows.push(row(
                &item(field),
                absent,
                [stored(&format!("/order_item/{column}"), "null")],
            ));
        }
    }
    rows.push(row(&item("no_field_of_ours"), "[1]", []));
    check(order, rows).await;
}

#[tokio::test]
async fn the_fields_of_a_client_at_their_bounds_and_just_past_them() {
    let mut rows = id("/client/id", &|text| shown("/client/external_id", text));
    rows.extend(external_id(
        "/client/external_id",
        &|number| shown("/client/id", number),
        70_001,
    ));
    rows.extend(integer(
        "/client/account_number",
        "/client/account_number",
        i64::MIN,
        i64::MAX,
    ));
    rows.extend(taken(
        "/client/type",
        "/client/type",
        &[
            (r#""fiz""#, r#""fiz""#),
            (r#""jur""#, r#""jur""#),
            (ABSENT, r#""fiz""#),
            ("null", r#""fiz""#),
            (r#""""#, r#""fiz""#),
        ],
    ));
    rows.extend(not_taken(
        "/client/type",
        &[
            (r#""JUR""#, "not_allowed"),
            (r#""company""#, "not_allowed"),
            ("1", "wrong_type"),
            ("true", "wrong_type"),
            (r#""\u0000""#, "invalid_format"),
        ],
    ));
    rows.extend(required("/client/username"));
    rows.extend(text(
        "/client/username",
        &|text| shown("/client/username", text),
        255,
    ));
    rows.extend(not_taken("/client/username", &[("5", "wrong_type")]));
    for field in ["email", "emai"] {
        rows.extend(text(
            &format!("/client/{field}"),
            &|text| shown("/client/email", text),
            255,
        ));
        rows.extend(not_taken(
            &format!("/client/{field}"),
            &[("5", "wrong_type")],
        ));
        rows.extend(taken(
            &format!("/client/{field}"),
            "/client/email",
            &[(ABSENT, "null"), ("null", "null"), (r#""""#, "null")],
        ));
    }
    rows.extend(
        text(
            "/client/comment",
            &|text| shown("/client/comment", text),
            20_000,
        )
        .into_iter()
        .filter(|row| !matches!(&row.expected[0], Refused(fault) if fault.ends_with("too_long"))),
    );
    rows.extend(taken(
        "/client/comment",
        "/client/comment",
        &[(ABSENT, "null"), ("null", "null"), (r#""""#, "null")],
    ));

    rows.extend(taken("/client/phone", "/client/phones/0", &PHONES));
    rows.extend(not_taken("/client/phone", &NO_PHONES));
    for absent in [ABSENT, "null", r#""""#] {
        rows.extend(taken("/client/phone", "/client/phones", &[(absent, "[]")]));
        rows.extend(taken("/client/phones", "/client/phones", &[(absent, "[]")]));
        rows.push(row("/client/addresses", absent, []));
    }
    for (sent, left) in PHONES {
        rows.push(row(
            "/client/phones",
            format!("[{sent}]"),
            [shown("/client/phones", format!("[{left}]"))],
        ));
    }
    for (sent, code) in NO_PHONES {
        rows.push(row(
            "/client/phones",
            format!(r#"["9191991919",{sent}]"#),
            [Refused(format!("client.phones[1]: {code}"))],
        ));
    }
    rows.extend(taken(
        "/client/phones",
        "/client/phones",
        &[
            ("[]", "[]"),
            (r#"[null,""]"#, "[]"),
            (
                r#"["9191991919","89191991919","+44 20 7946-0958"]"#,
                r#"["9191991919","+442079460958"]"#,
            ),
        ],
    ));
    rows.extend(not_taken(
        "/client/phones",
        &[
            ("{}", "wrong_type"),
            (r#""9191991919""#, "wrong_type"),
            ("5", "wrong_type"),
        ],
    ));
    rows.push(row("/client/addresses", "[]", []));
    rows.extend(not_taken(
        "/client/addresses",
        &[("{}", "wrong_type"), (r#""x""#, "wrong_type")],
    ));
    for no_object in ["[null]", "[5]", r#"["x"]"#, "[[]]"] {
        rows.push(row(
            "/client/addresses",
            no_object,
            [refused("client.addresses[0]: wrong_type")],
        ));
    }
    rows.push(row("/client/no_field_of_ours", "[1]", []));
    check(order, rows).await;
}

#[tokio::test]
async fn a_guests_username_and_phone_are_required() {
    let mut rows = required("/client/username");
    rows.extend(required("/client/phone"));
    rows.extend(taken("/client/phone", "/client/phones/0", &PHONES));
    rows.extend(not_taken("/client/phone", &NO_PHONES));
    // Neither id nor external_id, however that is said: a guest.
    for field in ["id", "external_id"] {
        for absent in ["null", r#""""#] {
            rows.push(row(
                &format!("/client/{field}"),
                absent,
                [shown("/client/external_id", "null")],
            ));
        }
    }
    rows.push(row(
        "/client/external_id",
        "0",
        [shown("/client/external_id", "null")],
    ));
    rows.push(row(
        "/client/external_id",
        r#""uid""#,
        [warned("client.external_id: external_id_ignored")],
    ));
    // What is wrong with the one field that says who it is makes nobody a guest who lacks a phone.
    rows.push(row(
        "/client",
        r#"{"username":"a","id":true}"#,
        [refused("client.id: wrong_type")],
    ));
    rows.push(row(
        "/client",
        r#"{"username":"a","external_id":true}"#,
        [refused("client.external_id: wrong_type")],
    ));
    rows.push(row(
        "/client",
        r#"{"username":"a","external_id":"uid"}"#,
        [refused("client.phone: required")],
    ));
    // Phones beside it are not the phone a guest is known by.
    rows.push(row(
        "/client",
        r#"{"username":"a","phones":["9191991919"]}"#,
        [refused("client.phone: required")],
    ));
    rows.push(row(
        "/client",
        r#"{"username":5,"phone":"9191991919"}"#,
        [refused("client.username: wrong_type")],
    ));
    check(|id| guest_order(id, "9083280832"), rows).await;
}

#[tokio::test]
async fn a_registered_clients_username_is_required_unless_we_know_the_client_already() {
    let app = app().await;
    let nameless = |id: &str, client: Value| changed(order(id), "/client", client);
    let batch = json!([
        nameless("unknown id", json!({ "id": "c1" })),
        nameless("unknown number", json!({ "external_id": 500 })),
        changed(
            order("named"),
            "/client",
            json!({ "id": "c1", "external_id": 500, "username": "Василий" })
        ),
        nameless("known id", json!({ "id": "c1" })),
        nameless(
            "known number",
            json!({ "external_id": 500, "username": "" })
        ),
        nameless("known number without id", json!({ "external_id": "500" })),
    ]);
    for _ in 0..2 {
        let answer = app.post(&batch).await;
        // Sent again, they are known from the start.
        let unknown = if app.count("journal_batch").await == 1 {
            2
        } else {
            0
        };
        for id in ["unknown id", "unknown number"].into_iter().take(unknown) {
            assert_eq!(answer.faults(id), ["client.username: required"]);
        }
        for id in [
            "named",
            "known id",
            "known number",
            "known number without id",
        ] {
            assert_eq!(answer.order(id)["client"]["username"], "Василий");
            assert_eq!(answer.order(id)["client"]["id"], 500);
        }
    }
    assert_eq!(app.count("client").await, 1);
}

#[tokio::test]
async fn the_fields_of_an_address_at_their_bounds_and_just_past_them() {
    let address = |field: &str| format!("/client/addresses/0/{field}");
    // The order goes to the very address of the list, so that there is but one unless a row changes it.
    let base = |id: &str| {
        let order = order(id);
        let address = order["shipping_address"].clone();
        changed(order, "/client/addresses", json!([address]))
    };
    let mut rows = id(&address("id"), &|text| {
        shown("/client/addresses/0/external_id", text)
    });
    rows.extend(external_id(
        &address("external_id"),
        &|number| shown("/client/addresses/0/id", number),
        70_001,
    ));
    rows.extend(content("/client/addresses/0"));
    // The order's address alone says user_address_id.
    rows.push(row(&address("user_address_id"), "{}", []));
    check(base, rows).await;
}

#[tokio::test]
async fn the_fields_of_a_shipping_address_at_their_bounds_and_just_past_them() {
    let pointer = "/shipping_address/user_address_id";
    let mut rows = content("/shipping_address");
    for absent in [ABSENT, "null", r#""""#, "0", r#""0""#, "0.0"] {
        rows.push(row(pointer, absent, []));
    }
    // Numbers that are no address of this client: any of ours, and any that cannot be ours.
    for unknown in [
        "1",
        r#""5""#,
        "2147483647",
        "2147483648",
        "-1",
        "99999999999999999999",
    ] {
        rows.push(row(
            pointer,
            unknown,
            [warned(
                "shipping_address.user_address_id: address_not_found",
            )],
        ));
    }
    rows.extend(not_taken(
        pointer,
        &[
            ("1.5", "wrong_type"),
            (r#""abc""#, "wrong_type"),
            ("true", "wrong_type"),
            ("[]", "wrong_type"),
            (r#""\u0000""#, "invalid_format"),
        ],
    ));
    check(order, rows).await;
}

/// What an address of either kind says.
fn content(address: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (field, max) in [("city", 255), ("street", 255), ("house", 10), ("str", 255)] {
        let pointer = format!("{address}/{field}");
        rows.extend(required(&pointer));
        rows.extend(text(&pointer, &|text| shown(&pointer, text), max));
        rows.extend(not_taken(&pointer, &[("5", "wrong_type")]));
    }
    for field in ["entrance", "floor", "room"] {
        let pointer = format!("{address}/{field}");
        rows.extend(text(&pointer, &|text| shown(&pointer, text), 10));
        rows.extend(not_taken(&pointer, &[("5", "wrong_type")]));
        rows.extend(taken(
            &pointer,
            &pointer,
            &[(ABSENT, "null"), ("null", "null"), (r#""""#, "null")],
        ));
    }
    rows
}

#[tokio::test]
async fn the_documents_misspelling_of_email_counts_where_email_says_nothing() {
    let app = app().await;
    let client = |id: &str, client: Value| {
        let mut order = order(id);
        order["client"]
            .as_object_mut()
            .unwrap()
            .extend(client.as_object().unwrap().clone());
        order
    };
    let answer = app
        .post(&json!([
            client(
                "both",
                json!({ "email": "right@example.org", "emai": "wrong@example.org" })
            ),
            client(
                "null",
                json!({ "email": null, "emai": "right@example.org" })
            ),
            client("empty", json!({ "email": "", "emai": "right@example.org" })),
            client("emai alone", json!({ "emai": "right@example.org" })),
        ]))
        .await;
    for id in ["both", "null", "empty", "emai alone"] {
        assert_eq!(
            answer.order(id)["client"]["email"],
            "right@example.org",
            "{id}"
        );
    }
}

#[tokio::test]
async fn more_lines_addresses_or_phones_than_the_limits_are_too_many() {
    let app = TestApp::with(|config| {
        config.publications[0].rules.max_order_items = 3;
        config.publications[0].rules.max_client_addresses = 2;
    })
    .await;
    let many = |value: Value, count: usize| Value::Array(vec![value; count]);
    let item = json!({ "product_id": "water-19", "price": 1, "quantity": 1 });
    let address =
        json!({ "city": "Эжва", "street": "Мира", "house": "1а", "str": "Эжва, Мира, 1а" });
    let answer = app
        .post(&json!([
            changed(order("3 items"), "/order_item_list", many(item.clone(), 3)),
            changed(order("4 items"), "/order_item_list", many(item, 4)),
            changed(
                order("2 addresses"),
                "/client/addresses",
                many(address.clone(), 2)
            ),
            changed(order("3 addresses"), "/client/addresses", many(address, 3)),
            changed(
                order("2 phones"),
                "/client/phones",
                json!(["9191991919", "9191991918"])
            ),
            changed(
                order("3 phones"),
                "/client/phones",
                json!(["9191991919", "9191991918", "9191991917"])
            ),
        ]))
        .await;
    assert_eq!(
        answer.order("3 items")["order_item_list"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    // Twice the same address is one.
    assert_eq!(
        answer.order("2 addresses")["client"]["addresses"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        answer.order("2 phones")["client"]["phones"],
        json!(["9191991919", "9191991918"])
    );
    assert_eq!(answer.faults("4 items"), ["order_item_list: too_many"]);
    assert_eq!(answer.faults("3 addresses"), ["client.addresses: too_many"]);
    assert_eq!(answer.faults("3 phones"), ["client.phones: too_many"]);
    for (id, most) in [("4 items", "3"), ("3 addresses", "2")] {
        let message = answer.entry(id)["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(most), "{message}");
    }
}

#[tokio::test]
async fn five_hundred_items_and_a_hundred_addresses_are_taken_by_default_and_one_more_is_too_many()
{
    let app = TestApp::start().await;
    let item = |n: usize| json!({ "product_id": "water-19", "price": n, "quantity": 1 });
    let address = |n: usize| json!({ "city": "Эжва", "street": "Мира", "house": n.to_string(), "str": "Эжва" });
    let items = |count| Value::Array((0..count).map(item).collect());
    let addresses = |count| Value::Array((0..count).map(address).collect());
    let answer = app
        .post(&json!([
            changed(order("500"), "/order_item_list", items(500)),
            changed(order("501"), "/order_item_list", items(501)),
            changed(order("100"), "/client/addresses", addresses(100)),
            changed(order("101"), "/client/addresses", addresses(101)),
        ]))
        .await;
    let lines = answer.order("500")["order_item_list"].as_array().unwrap();
    let prices: Vec<_> = lines
        .iter()
        .map(|line| line["price"].as_u64().unwrap())
        .collect();
    assert_eq!(prices, (0..500).collect::<Vec<_>>());
    assert_eq!(
        answer.order("100")["client"]["addresses"]
            .as_array()
            .unwrap()
            .len(),
        100
    );
    assert_eq!(answer.faults("501"), ["order_item_list: too_many"]);
    assert_eq!(answer.faults("101"), ["client.addresses: too_many"]);
}

#[tokio::test]
async fn a_datetime_without_a_zone_is_local_time_of_the_publication_and_is_stored_as_an_instant() {
    let app = TestApp::with(|config| {
        config.publications[0].rules.timezone = chrono_tz::Asia::Yekaterinburg;
    })
    .await;
    let order = changed(order("1"), "/created_at", json!("2026-11-06 17:30"));
    let answer = app.accept(&order).await;
    assert_eq!(answer["created_at"], "2026-11-06 17:30:00");
    assert_eq!(answer["shipping_date_from"], "2026-11-06 16:00:00");
    let stored: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("SELECT created_at FROM orders")
        .fetch_one(&app.pool())
        .await
        .unwrap();
    assert_eq!(stored.to_rfc3339(), "2026-11-06T12:30:00+00:00");
}

#[tokio::test]
async fn where_a_publication_lists_no_payment_types_any_is_known() {
    let app = TestApp::start().await;
    let answer = app
        .post(&json!([changed(
            order("1"),
            "/payment_type",
            json!("shells")
        )]))
        .await;
    assert_eq!(answer.order("1")["payment_type"], "shells");
    assert_eq!(
        answer.warnings("1"),
        ["order_item_list[0].product_id: product_not_found"]
    );
}
