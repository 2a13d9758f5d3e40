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

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// A text of usually at most `max` characters, answered or stored at `kept`.
fn text(pointer: &str, kept: &dyn Fn(String) -> Expected, max: usize, need: Need) -> Vec<Row> {
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
    // What is longer is kept whole for some way: somebody lives there.
    let most = max.max(1_000);
    if max < most {
        for text in [
            "Ж".repeat(max + 1),
            "😀".repeat(max + 1),
            " ".repeat(max + 1),
            "ж".repeat(most),
        ] {
            let whole = kept(quoted(&text));
            rows.push(row(
                pointer,
                quoted(&text),
                [whole, told(pointer, "too_long")],
            ));
        }
    }
    let cut = kept(quoted(&"😀".repeat(most)));
    rows.push(row(
        pointer,
        quoted(&r"\ud83d\ude00".repeat(most + 1)),
        [cut, told(pointer, "too_long")],
    ));
    // A number is its text, as it is written.
    for number in ["5", "19.0", "-1", "1e2"] {
        rows.push(row(pointer, number, [kept(quoted(number))]));
    }
    rows.push(row(
        pointer,
        r#""a\u0000b\u0000""#,
        [kept(r#""ab""#.into()), told(pointer, "invalid_format")],
    ));
    rows.extend(cannot_be_held(pointer));
    rows.extend(need.unread(pointer, &["true", r#"["a"]"#, r#"{"a":1}"#], "wrong_type"));
    rows.extend(need.nothing(pointer, &["[]", "{}", "false"], "wrong_type"));
    rows
}

/// What JSON allows and we cannot hold costs the order in any field.
fn cannot_be_held(pointer: &str) -> Vec<Row> {
    not_taken(
        pointer,
        &[
            (r#""\ud800""#, "invalid_format"),
            (r#""a\udc00""#, "invalid_format"),
            (r#""\ud83d \ude00""#, "invalid_format"),
        ],
    )
}

/// What a field without a value, or with one that cannot be read, costs.
#[derive(Clone, Copy, PartialEq)]
enum Need {
    /// The order.
    Required,
    /// The value: it is left out, and where it did not say "nothing", that is said.
    Optional,
    /// The order, for want of this: the fault.
    Instead(&'static str),
    /// The order of a client that is not known; what says "nothing" did not come.
    OfUnknown,
}

impl Need {
    /// Values that cannot be read.
    fn unread(self, pointer: &str, values: &[&str], code: &str) -> Vec<Row> {
        let rows = values.iter().map(|value| {
            let expected = match self {
                Self::Required | Self::OfUnknown => refused(&format!("{}: {code}", path(pointer))),
                Self::Optional => told(pointer, code),
                Self::Instead(fault) => refused(fault),
            };
            row(pointer, *value, [expected])
        });
        rows.collect()
    }

    /// Values that say "nothing" where nothing is needed, and else cannot be read.
    fn nothing(self, pointer: &str, values: &[&str], code: &str) -> Vec<Row> {
        match self {
            Self::Optional => values
                .iter()
                .map(|value| row(pointer, *value, []))
                .collect(),
            Self::OfUnknown => self.unread(pointer, values, "required"),
            needed => needed.unread(pointer, values, code),
        }
    }
}

/// Accepted, with this code for the field itself.
fn told(pointer: &str, code: &str) -> Expected {
    Warned(format!("{}: {code}", path(pointer)))
}

const NIL_GUID: &str = r#""00000000-0000-0000-0000-000000000000""#;

/// A sender's id: a text, or a whole number for one.
fn id(pointer: &str, kept: &dyn Fn(String) -> Expected, need: Need) -> Vec<Row> {
    let mut rows: Vec<Row> = [
        " a b ",
        "null",
        r"\\",
        r#"\""#,
        "<b>&</b>",
        "%s",
        "Кут's \u{301}",
    ]
    .into_iter()
    .map(|text| row(pointer, quoted(text), [kept(quoted(text.trim()))]))
    .collect();
    for (sent, left) in [
        ("68".to_owned(), "68".to_owned()),
        ("69.0".to_owned(), "69".to_owned()),
        ("7.0e1".to_owned(), "70".to_owned()),
        ("-5".to_owned(), "-5".to_owned()),
        (
            "99999999999999999999".to_owned(),
            "99999999999999999999".to_owned(),
        ),
        ("1".repeat(255), "1".repeat(255)),
        (quoted("68.0"), "68.0".to_owned()),
        (quoted(r"\u00a0\t72\r\n\u200b\ufeff "), "72".to_owned()),
        (quoted(&"Ж".repeat(255)), "Ж".repeat(255)),
        (quoted(&format!(" {} ", "😀".repeat(255))), "😀".repeat(255)),
    ] {
        rows.push(row(pointer, sent, [kept(quoted(&left))]));
    }
    rows.push(row(
        pointer,
        r#""a\u0000b""#,
        [kept(r#""ab""#.into()), told(pointer, "invalid_format")],
    ));
    // One that were cut would be another's.
    rows.extend(not_taken(
        pointer,
        &[
            (&"1".repeat(256), "too_long"),
            ("1e255", "too_long"),
            (&quoted(&"Ж".repeat(256)), "too_long"),
            (&quoted(&format!("a{}", " ".repeat(5_000))), "too_long"),
        ],
    ));
    rows.extend(cannot_be_held(pointer));
    rows.extend(need.unread(pointer, &["true", "1.5", "[1]", r#"{"a":1}"#], "wrong_type"));
    rows.extend(need.nothing(pointer, &["[]", "{}", "false"], "wrong_type"));
    rows.extend(need.nothing(pointer, &[r#"" ""#, r#""\u200b""#], "required"));
    rows
}

/// What names nobody in the id of an order, a client or an address.
fn no_identity(pointer: &str, need: Need) -> Vec<Row> {
    let placeholders = ["0", "0.0", "-0", r#""0""#, r#"" 0 ""#, NIL_GUID];
    need.nothing(pointer, &placeholders, "required")
}

/// Decimals ≥ 0 with that many digits before the point.
fn amount(pointer: &str, shown_at: &str, digits: usize, need: Need) -> Vec<Row> {
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
    // In a text also with a decimal comma and with blanks between groups.
    rows.extend(taken(
        pointer,
        shown_at,
        &[
            (r#""710,00""#, "710"),
            (r#""1 234,56""#, "1234.56"),
            (r#""1\u00a0234\u202f567.5""#, "1234567.5"),
            (r#"" 1 000 ""#, "1000"),
            (r#""1,234.00""#, "1234"),
            (r#""1,234,567.8""#, "1234567.8"),
            (r#"".50""#, "0.5"),
            (r#""5.""#, "5"),
            (r#""1.234,56""#, "1234.56"),
            (r#""1'234.5""#, "1234.5"),
            (r#""710 руб.""#, "710"),
            (r#""1 234,50 ₽""#, "1234.5"),
            // The noise of a binary float.
            ("27964.000000000004", "27964"),
            ("0.30000000000000004", "0.3"),
            ("0.0000009", "0"),
            ("1e-400", "0"),
        ],
    ));
    for (sent, left) in [
        ("118.3333", "118.33"),
        (r#""118,335""#, "118.34"),
        (r#""1,234""#, "1.23"),
        (r#""0.005""#, "0.01"),
        ("0.004", "0"),
        ("0.000001", "0"),
    ] {
        rows.push(row(
            pointer,
            sent,
            [shown(shown_at, left), told(pointer, "rounded")],
        ));
    }
    rows.extend(need.unread(
        pointer,
        &[&past, &past_by_a_hair, "-0.01", r#""-1""#, r#""1e400""#],
        "out_of_range",
    ));
    rows.extend(need.unread(
        pointer,
        &[
            r#""abc""#,
            r#"" ""#,
            r#""1,2,3""#,
            r#""1.23,45""#,
            r#""7 10""#,
            r#""0x10""#,
            r#""NaN""#,
            r#""Infinity""#,
            r#""٣""#,
            "true",
            "[1]",
        ],
        "wrong_type",
    ));
    rows.extend(need.nothing(pointer, &["[]", "{}", "false"], "wrong_type"));
    rows.extend(not_taken(
        pointer,
        &[("1e400", "out_of_range"), (r#""\ud800""#, "invalid_format")],
    ));
    rows.push(row(
        pointer,
        r#""1\u0000""#,
        [shown(shown_at, "1"), told(pointer, "invalid_format")],
    ));
    rows
}

/// Integers from `min` to `max`.
fn integer(pointer: &str, shown_at: &str, min: i64, max: i64, need: Need) -> Vec<Row> {
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
    rows.extend(taken(
        pointer,
        shown_at,
        &[
            (r#"" 3 ""#, "3"),
            (r#""2.000""#, "2"),
            // 1C's own way to write 2.
            (r#""2,000""#, "2"),
            (r#""2,0""#, "2"),
            (r#""1 000""#, "1000"),
            (r#""1\u00a0068""#, "1068"),
            // The noise of a binary float.
            ("1.9999999999999998", "2"),
            (r#""2.0000000000000004""#, "2"),
        ],
    ));
    rows.extend(need.unread(
        pointer,
        &[&before, &past, &quoted_past, r#""1e400""#],
        "out_of_range",
    ));
    rows.extend(need.unread(
        pointer,
        &[
            "1.5",
            r#""1.5""#,
            r#""1,5""#,
            r#""1,234""#,
            "1.999999",
            r#""2 шт""#,
            r#""three""#,
            "true",
            "[1]",
        ],
        "wrong_type",
    ));
    rows.extend(need.nothing(pointer, &["[]", "{}", "false"], "wrong_type"));
    rows.extend(not_taken(
        pointer,
        &[("1e400", "out_of_range"), (r#""\udfff""#, "invalid_format")],
    ));
    rows.push(row(
        pointer,
        r#""3\u0000""#,
        [shown(shown_at, "3"), told(pointer, "invalid_format")],
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
    for absent in [
        ABSENT, "null", r#""""#, "0", r#""0""#, "0.0", "-0", NIL_GUID, "false", "[]", "{}",
    ] {
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
        "true",
        "[1]",
        r#"{"a":1}"#,
    ] {
        rows.push(row(
            pointer,
            impossible,
            [Warned(format!("{}: external_id_ignored", path(pointer)))],
        ));
    }
    rows.extend(cannot_be_held(pointer));
    rows
}

fn datetime(pointer: &str, shown_at: &str, need: Need) -> Vec<Row> {
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
            (r#""2026-11-06T14:30:15+0300""#, r#""2026-11-06 14:30:15""#),
            (r#""2026-11-06T14:30:15+03""#, r#""2026-11-06 14:30:15""#),
            (r#""06.11.2026 17:30:15""#, r#""2026-11-06 17:30:15""#),
            (r#""06.11.2026 17:30""#, r#""2026-11-06 17:30:00""#),
            (r#""06.11.2026, 17:30:15""#, r#""2026-11-06 17:30:15""#),
            (r#""6.11.2026 17:30""#, r#""2026-11-06 17:30:00""#),
            (r#""2026-11-06 14:30:15 +0300""#, r#""2026-11-06 14:30:15""#),
            (
                r#""2026-11-06 14:30:15 +03:00""#,
                r#""2026-11-06 14:30:15""#,
            ),
            (r#""2026-11-06 14:30:15 UTC""#, r#""2026-11-06 17:30:15""#),
            (
                r#""\ufeff 2026-11-06\u00a0 17:30\u200b""#,
                r#""2026-11-06 17:30:00""#,
            ),
            (
                r#""2026-11-06T13:00:00.5-00:30""#,
                r#""2026-11-06 16:30:00""#,
            ),
        ],
    );
    rows.extend(need.unread(
        pointer,
        &[
            r#""2026-02-29T17:30:00Z""#,
            r#""2026-13-01 00:00""#,
            r#""2026-11-06T24:00:01Z""#,
            r#""2026-11-06T17:60:00Z""#,
            r#""2026-11-06T17:30:15+25:00""#,
            r#""10000-01-01T00:00:00Z""#,
            r#""0000-01-01T00:00:00Z""#,
            r#""31.02.2026 10:00""#,
            r#""завтра""#,
            r#""2026-11-06""#,
        ],
        "invalid_format",
    ));
    rows.extend(need.unread(pointer, &["1762430000", "true", "[1]"], "wrong_type"));
    rows.extend(need.nothing(pointer, &["[]", "{}", "false"], "wrong_type"));
    let no_dates = [
        r#""0001-01-01T00:00:00""#,
        r#""0001-01-01T00:00:00+03:00""#,
        r#""0000-00-00 00:00:00""#,
        r#""0000-00-00""#,
    ];
    rows.extend(need.nothing(pointer, &no_dates, "required"));
    rows.extend(not_taken(pointer, &[(r#""\ud800""#, "invalid_format")]));
    rows.push(row(
        pointer,
        r#""2026-11-06T14:30:15Z\u0000""#,
        [
            shown(shown_at, r#""2026-11-06 17:30:15""#),
            told(pointer, "invalid_format"),
        ],
    ));
    rows
}

/// Spellings of a phone and how it leaves.
const PHONES: [(&str, &str); 26] = [
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
    (r#""8.919.199.19.19""#, r#""9191991919""#),
    (r#""tel:+7-919-199-19-19""#, r#""9191991919""#),
    (r#""8\ufe0f919\u200b1991919""#, r#""9191991919""#),
    ("9191991919.0", r#""9191991919""#),
    (r#""8 10 375 29 123-45-67""#, r#""+375291234567""#),
    (r#""8~10375291234567""#, r#""+375291234567""#),
    ("810375291234567", r#""+375291234567""#),
    (r#""0079191991919""#, r#""9191991919""#),
    (r#""+7 8 (919) 199-19-19""#, r#""9191991919""#),
    (r#""+789191991919""#, r#""9191991919""#),
    (r#""тел. 89191991919""#, r#""9191991919""#),
    (r#""'89191991919""#, r#""9191991919""#),
];

/// Beside a whole number stands something else: the number counts, and that is said.
const PHONES_WITH_MORE: [(&str, &str); 8] = [
    (r#""8652990087доб5""#, r#""8652990087""#),
    (r#""Иван 89191991919""#, r#""9191991919""#),
    (r#""9191991919 доб. 12""#, r#""9191991919""#),
    (r#""+7 (919) 199-19-19 доб. 12""#, r#""9191991919""#),
    (r#""9191991919, 9191991918""#, r#""9191991919""#),
    (r#""8 919 199 19 19 8 919 199 19 18""#, r#""9191991919""#),
    (r#""tel:+79191991919;ext=12""#, r#""9191991919""#),
    (r#""9191991919\u0000""#, r#""9191991919""#),
];

const NO_PHONES: [&str; 13] = [
    r#""+1234567""#,
    r#""+1234567890123456""#,
    r#""919199191""#,
    r#""99191991919""#,
    r#""891919919190""#,
    r#""++79191991919""#,
    r#""8919199191x""#,
    r#""нет""#,
    r#"" ""#,
    "12",
    "9191991919.5",
    r#""9999999999""#,
    r#""+7 000 000-00-00""#,
];

/// What a phone may be, and what not.
fn phones(need: Need) -> Vec<Row> {
    let pointer = "/client/phone";
    let mut rows = taken(pointer, "/client/phones/0", &PHONES);
    for (sent, left) in PHONES_WITH_MORE {
        let left = shown("/client/phones/0", left);
        rows.push(row(pointer, sent, [left, told(pointer, "invalid_format")]));
    }
    rows.extend(need.unread(pointer, &NO_PHONES, "invalid_format"));
    rows.extend(need.unread(pointer, &["true", "[1]"], "wrong_type"));
    rows.extend(need.nothing(pointer, &["[]", "{}", "false"], "wrong_type"));
    rows.extend(cannot_be_held(pointer));
    rows
}

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
    app.run(
        "INSERT INTO product (publication, number, name) VALUES ('demodelivery', 28, 'Вода 19 л');
         INSERT INTO product_sender_id VALUES ('demodelivery', 'water-19', 28)",
    )
    .await;
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
                    let is = stored
                        .get(&stored_id(index, row))
                        .and_then(|stored| raw::at(stored, pointer));
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
        if accepted != faults.is_empty()
            || is != due
            || accepted != stored.contains_key(&stored_id(index, row))
        {
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

/// Under which key a row's order is answered: its id as it came, or its place.
fn key(index: usize, row: &Row) -> String {
    if row.pointer != "/id" {
        return format!("row {index}");
    }
    if stored_id(index, row).is_empty() {
        return format!("#{index}");
    }
    serde_json::from_str(&row.sent).unwrap_or_else(|_| row.sent.clone())
}

/// Under which id a row's order is stored; empty where it has none.
fn stored_id(index: usize, row: &Row) -> String {
    if row.pointer != "/id" {
        return format!("row {index}");
    }
    let id = row.expected.iter().find_map(|expected| match expected {
        Shown(pointer, text) if pointer == "/external_id" => serde_json::from_str(text).ok(),
        _ => None,
    });
    id.unwrap_or_default()
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
    rows.extend(id(
        "/id",
        &|text| shown("/external_id", text),
        Need::Required,
    ));
    rows.extend(no_identity("/id", Need::Required));
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
    // A line's end that was read along.
    for status in [r#""new\n""#, r#""new \r\n""#] {
        rows.extend(taken("/status", "/status", &[(status, r#""new""#)]));
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
            (r#""\ud800""#, "invalid_format"),
        ],
    ));
    rows.push(row(
        "/status",
        r#""new\u0000""#,
        [
            shown("/status", r#""new""#),
            told("/status", "invalid_format"),
        ],
    ));

    rows.extend(datetime("/created_at", "/created_at", Need::Optional));
    for absent in [ABSENT, "null", r#""""#, r#""0001-01-01T00:00:00""#] {
        rows.push(row("/created_at", absent, []));
    }
    for (pointer, sent, left) in [
        ("/created_at", "6.11.2026 9:05", "2026-11-06 09:05:00"),
        ("/shipping_date_from", "06.11.2026", "2026-11-06 00:00:00"),
        (
            "/shipping_date_from",
            "2026-11-06 9:05",
            "2026-11-06 09:05:00",
        ),
        ("/shipping_date_to", "07.11.2026", "2026-11-07 00:00:00"),
    ] {
        rows.extend(taken(pointer, pointer, &[(&quoted(sent), &quoted(left))]));
    }
    for pointer in ["/shipping_date_from", "/shipping_date_to"] {
        rows.extend(required(pointer));
        rows.extend(datetime(pointer, pointer, Need::Required));
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
        let need = if pointer == "/total" {
            Need::Required
        } else {
            Need::Optional
        };
        rows.extend(amount(pointer, pointer, 10, need));
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
    for row in text(
        "/payment_type",
        &|text| shown("/payment_type", text),
        255,
        Need::Optional,
    ) {
        let is_text = matches!(row.expected.first(), Some(Shown(..)));
        let unknown = is_text.then(|| warned("payment_type: payment_type_unknown"));
        rows.push(Row {
            expected: row.expected.into_iter().chain(unknown).collect(),
            ..row
        });
    }

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
    let said = "/payment_status";
    for (word, flag) in [
        ("1.0", "true"),
        ("0.0", "false"),
        (r#""yes""#, "true"),
        (r#""No""#, "false"),
        (r#""да""#, "true"),
        (r#""НЕТ""#, "false"),
        (r#""Истина""#, "true"),
        (r#"" Да\u00a0""#, "true"),
        (r#""ложь""#, "false"),
        (r#""TRUE""#, "true"),
    ] {
        rows.push(row(said, word, [shown(said, flag)]));
    }
    rows.extend(Need::Optional.unread(
        said,
        &["2", "-1", r#""maybe""#, r#""2""#, "[]", "{}", "[1]"],
        "wrong_type",
    ));
    rows.extend(cannot_be_held(said));
    rows.push(row(
        said,
        r#""true\u0000""#,
        [shown(said, "true"), told(said, "invalid_format")],
    ));

    rows.extend(text(
        "/comment",
        &|text| shown("/comment", text),
        65_536,
        Need::Optional,
    ));

    rows.extend(integer(
        "/count_of_returned_bottles",
        "/count_of_returned_bottles",
        0,
        i64::from(i32::MAX),
        Need::Optional,
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
            Need::Optional,
        )
        .into_iter()
        .filter(|row| row.sent != "true" && row.sent != "false"),
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
        &[("1e400", "invalid_format")],
    ));

    rows.extend(required("/order_item_list"));
    rows.extend(not_taken(
        "/order_item_list",
        &[
            ("[]", "empty"),
            ("{}", "wrong_type"),
            (r#"{"a":{}}"#, "wrong_type"),
            ("false", "wrong_type"),
            ("5", "wrong_type"),
            (r#""x""#, "wrong_type"),
        ],
    ));
    let line =
        |quantity: i32| format!(r#"{{"product_id":"water-19","price":1,"quantity":{quantity}}}"#);
    rows.push(row(
        "/order_item_list",
        format!(r#"{{"10":{},"2":{}}}"#, line(10), line(2)),
        [
            shown("/order_item_list/0/quantity", "2"),
            shown("/order_item_list/1/quantity", "10"),
        ],
    ));
    // XML has no lists of one.
    rows.push(row(
        "/order_item_list",
        line(3),
        [
            shown("/order_item_list/0/quantity", "3"),
            shown("/order_item_list/0/product_id", "28"),
        ],
    ));
    rows.push(row(
        "/order_item_list",
        r#"{"product_id":"water-19","quantity":1.5}"#,
        [
            refused("order_item_list[0].price: required"),
            refused("order_item_list[0].quantity: wrong_type"),
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
            ("[5]", "wrong_type"),
            ("[{},{}]", "wrong_type"),
            (r#""x""#, "wrong_type"),
            ("5", "wrong_type"),
        ],
    ));
    rows.push(row(
        "/client",
        r#"[{"username":"Анна","phone":"9191991919"}]"#,
        [shown("/client/username", r#""Анна""#)],
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
        r#"[ {"city":"Эжва","street":"Мира","house":"1а","str":"Эжва, Мира, 1а"} ]"#,
        [shown("/shipping_address/house", r#""1а""#)],
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
    let of_line = |text| stored("/order_item/product_id", text);
    let mut ids = id(&item("product_id"), &of_line, Need::Required);
    // A product may be called so.
    for zero in ["0", r#""0""#] {
        ids.push(row(&item("product_id"), zero, [of_line(r#""0""#.into())]));
    }
    for row in ids {
        let is_id = matches!(row.expected.first(), Some(Stored(..)));
        let unknown = is_id.then(not_found);
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
    rows.extend(amount(&item("price"), &item("price"), 8, Need::Required));
    rows.extend(required(&item("quantity")));
    rows.extend(integer(
        &item("quantity"),
        &item("quantity"),
        1,
        i64::from(i32::MAX),
        Need::Required,
    ));
    rows.extend(not_taken(
        &item("quantity"),
        &[
            ("0", "out_of_range"),
            (r#""0""#, "out_of_range"),
            ("-5", "out_of_range"),
        ],
    ));

    rows.extend(id(
        &item("id"),
        &|text| stored("/order_item/sender_id", text),
        Need::Optional,
    ));
    rows.extend(external_id(
        &item("external_id"),
        &|number| stored("/order_item/external_id", number),
        1,
    ));
    rows.extend(text(
        &item("name"),
        &|text| shown("/order_item_list/0/name", text),
        255,
        Need::Optional,
    ));
    rows.extend(integer(
        &item("order_product_id"),
        &item("order_product_id"),
        i64::MIN,
        i64::MAX,
        Need::Optional,
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
    // Without an id it is a guest, whose phone is missing.
    let guest = Need::Instead("client.phone: required");
    let mut rows = id(
        "/client/id",
        &|text| shown("/client/external_id", text),
        guest,
    );
    rows.extend(no_identity("/client/id", guest));
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
        Need::Optional,
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
    let kind = "/client/type";
    rows.extend(Need::Optional.unread(kind, &[r#""JUR""#, r#""company""#], "not_allowed"));
    rows.extend(Need::Optional.unread(kind, &["1", "true", "[1]"], "wrong_type"));
    rows.extend(Need::Optional.nothing(kind, &["[]", "{}", "false"], "wrong_type"));
    rows.extend(cannot_be_held(kind));
    rows.extend(required("/client/username"));
    rows.extend(text(
        "/client/username",
        &|text| shown("/client/username", text),
        255,
        Need::OfUnknown,
    ));
    for field in ["email", "emai"] {
        rows.extend(text(
            &format!("/client/{field}"),
            &|text| shown("/client/email", text),
            255,
            Need::Optional,
        ));
        rows.extend(taken(
            &format!("/client/{field}"),
            "/client/email",
            &[(ABSENT, "null"), ("null", "null"), (r#""""#, "null")],
        ));
    }
    rows.extend(text(
        "/client/comment",
        &|text| shown("/client/comment", text),
        65_536,
        Need::Optional,
    ));
    rows.extend(taken(
        "/client/comment",
        "/client/comment",
        &[(ABSENT, "null"), ("null", "null"), (r#""""#, "null")],
    ));

    rows.extend(phones(Need::Optional));
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
    for sent in NO_PHONES {
        rows.push(row(
            "/client/phones",
            format!(r#"[{sent},"9191991919"]"#),
            [
                shown("/client/phones", r#"["9191991919"]"#),
                warned("client.phones[0]: invalid_format"),
            ],
        ));
    }
    for (sent, left) in PHONES_WITH_MORE {
        rows.push(row(
            "/client/phones",
            format!("[{sent}]"),
            [
                shown("/client/phones", format!("[{left}]")),
                warned("client.phones[0]: invalid_format"),
            ],
        ));
    }
    rows.push(row(
        "/client/phones",
        r#"[true,[],{},"9191991919"]"#,
        [
            shown("/client/phones", r#"["9191991919"]"#),
            warned("client.phones[0]: wrong_type"),
            warned("client.phones[1]: wrong_type"),
            warned("client.phones[2]: wrong_type"),
        ],
    ));
    rows.extend(taken(
        "/client/phones",
        "/client/phones",
        &[
            ("[]", "[]"),
            (r#"[null,"",false]"#, "[]"),
            (
                r#"["9191991919","89191991919","+44 20 7946-0958"]"#,
                r#"["9191991919","+442079460958"]"#,
            ),
        ],
    ));
    rows.extend(taken(
        "/client/phones",
        "/client/phones",
        &[
            ("{}", "[]"),
            ("false", "[]"),
            // One alone is a list of one.
            (r#""9191991919""#, r#"["9191991919"]"#),
            ("9191991919", r#"["9191991919"]"#),
            (
                r#"{"3":"9191991919","1":"9191991918"}"#,
                r#"["9191991918","9191991919"]"#,
            ),
        ],
    ));
    let phones = "/client/phones";
    rows.extend(Need::Optional.unread(phones, &["5", r#""нет""#], "invalid_format"));
    rows.extend(Need::Optional.unread(phones, &["true", r#"{"a":1}"#], "wrong_type"));
    let addresses = "/client/addresses";
    rows.extend(Need::Optional.nothing(addresses, &["[]", "{}", "false"], "wrong_type"));
    rows.extend(Need::Optional.unread(addresses, &[r#""x""#, "5", r#"{"a":1}"#], "wrong_type"));
    for no_object in ["[null]", "[5]", r#"["x"]"#, "[[]]"] {
        rows.push(row(
            addresses,
            no_object,
            [warned("client.addresses[0]: wrong_type")],
        ));
    }
    // A bad one among others is left out, the others count.
    let good = r#"{"city":"Сыктывкар","street":"Ленина","house":"1","str":"Ленина 1"}"#;
    rows.push(row(
        addresses,
        format!(r#"[{{"city":"Сыктывкар"}},{{"house":true}},{good}]"#),
        [
            shown("/client/addresses/0/str", r#""Ленина 1""#),
            warned("client.addresses[0].street: required"),
            warned("client.addresses[0].house: required"),
            warned("client.addresses[0].str: required"),
            warned("client.addresses[1].city: required"),
            warned("client.addresses[1].street: required"),
            warned("client.addresses[1].house: wrong_type"),
            warned("client.addresses[1].str: required"),
        ],
    ));
    rows.push(row(
        addresses,
        good,
        [shown("/client/addresses/0/str", r#""Ленина 1""#)],
    ));
    rows.push(row(
        addresses,
        format!(r#"{{"7":{good},"0":{{}}}}"#),
        [
            shown("/client/addresses/0/str", r#""Ленина 1""#),
            warned("client.addresses[0].city: required"),
            warned("client.addresses[0].street: required"),
            warned("client.addresses[0].house: required"),
            warned("client.addresses[0].str: required"),
        ],
    ));
    rows.push(row("/client/no_field_of_ours", "[1]", []));
    check(order, rows).await;
}

#[tokio::test]
async fn a_guests_username_and_phone_are_required() {
    let mut rows = required("/client/username");
    rows.extend(required("/client/phone"));
    rows.extend(phones(Need::Required));
    // Neither id nor external_id, however that is said: a guest.
    for field in ["id", "external_id"] {
        for absent in [
            "null", r#""""#, "0", r#""0""#, NIL_GUID, "false", "[]", "{}",
        ] {
            rows.push(row(
                &format!("/client/{field}"),
                absent,
                [shown("/client/external_id", "null")],
            ));
        }
    }
    rows.push(row(
        "/client/external_id",
        r#""uid""#,
        [warned("client.external_id: external_id_ignored")],
    ));
    // An id that cannot be read is none.
    rows.push(row(
        "/client/id",
        "true",
        [
            shown("/client/external_id", "null"),
            warned("client.id: wrong_type"),
        ],
    ));
    rows.push(row(
        "/client",
        r#"{"username":"a","id":true}"#,
        [refused("client.phone: required")],
    ));
    // One that is too long is no guest's: nothing else is missing then.
    rows.push(row(
        "/client",
        format!(r#"{{"username":"a","id":"{}"}}"#, "w".repeat(256)),
        [refused("client.id: too_long")],
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
        r#"{"username":true,"phone":"9191991919"}"#,
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
    // Sent again they would be known from the start, so an order that makes a client makes it known to the whole batch.
    for _ in 0..2 {
        let answer = app.post(&batch).await;
        for id in ["unknown id", "unknown number"] {
            assert_eq!(answer.order(id)["client"]["username"], "Василий");
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
    let answer = app
        .post(&json!([nameless("alone", json!({ "id": "c2" }))]))
        .await;
    assert_eq!(answer.faults("alone"), ["client.username: required"]);
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
    let shown_id = |text| shown("/client/addresses/0/external_id", text);
    let mut rows = id(&address("id"), &shown_id, Need::Optional);
    rows.extend(no_identity(&address("id"), Need::Optional));
    rows.extend(external_id(
        &address("external_id"),
        &|number| shown("/client/addresses/0/id", number),
        70_001,
    ));
    rows.extend(content("/client/addresses/0", Need::Optional));
    // The order's address alone says user_address_id.
    rows.push(row(&address("user_address_id"), "{}", []));
    check(base, rows).await;
}

#[tokio::test]
async fn the_fields_of_a_shipping_address_at_their_bounds_and_just_past_them() {
    let pointer = "/shipping_address/user_address_id";
    let mut rows = content("/shipping_address", Need::Required);
    for absent in [
        ABSENT, "null", r#""""#, "0", r#""0""#, "0.0", NIL_GUID, "false", "[]", "{}",
    ] {
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
        "1.5",
        r#""abc""#,
        r#""78e66cef-ae2c-11e6-9bf1-f8a9634f667f""#,
        "true",
        "[1]",
    ] {
        rows.push(row(
            pointer,
            unknown,
            [warned(
                "shipping_address.user_address_id: address_not_found",
            )],
        ));
    }
    rows.extend(cannot_be_held(pointer));
    check(order, rows).await;
}

/// What an address of either kind says. `need`: what it costs where one of its required fields cannot be read.
fn content(address: &str, need: Need) -> Vec<Row> {
    let mut rows = Vec::new();
    for (field, max) in [("city", 255), ("street", 255), ("house", 10), ("str", 255)] {
        let pointer = format!("{address}/{field}");
        if need == Need::Required {
            rows.extend(required(&pointer));
            rows.extend(text(&pointer, &|text| shown(&pointer, text), max, need));
            continue;
        }
        // The address is left out, and that is said.
        let texts = text(&pointer, &|text| shown(&pointer, text), max, Need::Required);
        rows.extend(required(&pointer).into_iter().chain(texts).map(|row| {
            let expected = row.expected.into_iter().map(|expected| match expected {
                Refused(fault) if !row.sent.contains("ud") => Warned(fault),
                other => other,
            });
            Row {
                expected: expected.collect(),
                ..row
            }
        }));
    }
    for field in ["entrance", "floor", "room"] {
        let pointer = format!("{address}/{field}");
        rows.extend(text(
            &pointer,
            &|text| shown(&pointer, text),
            10,
            Need::Optional,
        ));
        rows.extend(taken(
            &pointer,
            &pointer,
            &[
                (ABSENT, "null"),
                ("null", "null"),
                (r#""""#, "null"),
                ("false", "null"),
                ("[]", "null"),
                ("{}", "null"),
            ],
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
async fn phones_of_which_none_can_be_read_leave_the_stored_ones_and_an_empty_list_clears_them() {
    let app = app().await;
    let phones = |phones: Value| changed(order("1"), "/client/phones", phones);
    let kept = app.accept(&phones(json!(["9191991919"]))).await;
    assert_eq!(kept["client"]["phones"], json!(["9191991919"]));
    for junk in [
        json!("нет"),
        json!(["нет"]),
        json!([true, null, "0000000000"]),
        json!({ "0": "нет" }),
    ] {
        let still = app.accept(&phones(junk.clone())).await;
        assert_eq!(still["client"]["phones"], json!(["9191991919"]), "{junk}");
    }
    for clears in [json!([]), json!([null, ""]), json!(null)] {
        let cleared = app.accept(&phones(clears.clone())).await;
        assert_eq!(cleared["client"]["phones"], json!([]), "{clears}");
        app.accept(&phones(json!(["9191991919"]))).await;
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
        config.publications[0].rules.timezone =
            aqua_orders::config::zone("Asia/Yekaterinburg").unwrap();
    })
    .await;
    let order = changed(order("1"), "/created_at", json!("2026-11-06 17:30"));
    let answer = app.accept(&order).await;
    assert_eq!(answer["created_at"], "2026-11-06 17:30:00");
    assert_eq!(answer["shipping_date_from"], "2026-11-06 16:00:00");
    let stored: chrono::DateTime<chrono::Utc> = app.value("SELECT created_at FROM orders").await;
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
