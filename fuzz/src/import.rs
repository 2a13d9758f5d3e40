//! A file of the receiver's own data: whatever is in it, it is read or refused, and imported twice it changes nothing.

use std::fmt::Write as _;

use aqua_orders::{
    catalogue::{
        Subject,
        decide::{Decision, FreeNumbers, Product, Shortage, Stored, decide},
        entry::Entries,
        table::{self, Row, Rows, Unreadable, Value},
    },
    order::{Rules, fault::Language},
};
use serde_json::json;

use super::order;

/// Behind this byte a second file begins, imported after the first.
const NEXT_FILE: u8 = 0x1e;

/// The first byte chooses what the files are about and how phones are read; the rest are one or two files.
pub fn check(input: &[u8]) {
    let Some((how, files)) = input.split_first() else {
        return;
    };
    let subject =
        [Subject::Products, Subject::Clients, Subject::Districts][usize::from(how & 3) % 3];
    let rules = order::rules(how >> 2);
    let mut stored = stored();
    for file in files.splitn(2, |b| *b == NEXT_FILE) {
        let table = table::read(subject, file);
        spelt_otherwise(subject, file, &table);
        match table {
            Ok(table) => import(subject, table, &rules, file, &mut stored),
            Err(unreadable) => assert!(!unreadable.to_string().is_empty()),
        }
    }
}

/// What prices and addresses refer to.
fn stored() -> Stored {
    let product = |number: i32| Product {
        number,
        name: format!("product {number}"),
        active: true,
    };
    Stored {
        districts: [(1, "Орбита".to_owned()), (2, "Центр".to_owned())].into(),
        products: [28, 36].map(|number| (number, product(number))).into(),
        product_ids: [("78e66cef".to_owned(), 28), ("a".to_owned(), 36)].into(),
        ..Stored::default()
    }
}

fn import(subject: Subject, table: Rows, rules: &Rules, file: &[u8], stored: &mut Stored) {
    // UTF-16 has a byte more for each.
    let lines = file.split(|b| *b == b'\n').count();
    let mut last = 0;
    for row in &table.rows {
        assert!(
            (last.max(1)..=lines).contains(&row.line),
            "line {} of {lines}",
            row.line
        );
        last = row.line;
    }
    let rows = table.rows.len() + table.problems.len();
    let mut entries = Entries::default();
    entries.add(subject, table, rules);
    let records = entries.districts.len() + entries.products.len() + entries.clients.len();
    assert!(
        records + entries.totals.of(subject).refused <= rows,
        "records out of nothing"
    );

    let decision = decided(stored, &entries);
    for problem in &decision.problems {
        assert!((1..=lines).contains(&problem.line), "{problem}");
        for language in [Language::Ru, Language::En] {
            assert!(!problem.reason.in_language(language).is_empty());
        }
    }
    let mut totals = decision.totals;
    let counts = *totals.of(subject);
    assert_eq!(
        counts.new + counts.changed + counts.unchanged + counts.refused,
        records + entries.totals.of(subject).refused,
        "every record is counted once: {counts}"
    );
    assert_eq!(
        decision.problems.is_empty(),
        counts.refused == 0,
        "{counts}"
    );
    assert_eq!(
        decision.changes.is_empty(),
        counts.new + counts.changed == 0,
        "{counts}"
    );

    store(stored, &decision);
    let mut twice = decide(stored, &entries, &mut FreeNumbers::default());
    // A refused record is as unknown as before, and its addresses ask for numbers again.
    if decision.problems.is_empty() {
        assert_eq!(
            twice.shortage,
            Shortage::default(),
            "what exists uses up no number"
        );
        assert!(
            twice.changes.is_empty(),
            "imported twice it changes {:?}",
            twice.changes
        );
        assert_eq!(twice.problems, []);
        assert_eq!(twice.totals.of(subject).unchanged, records);
    }
}

fn decided(stored: &Stored, entries: &Entries) -> Decision {
    for count in [64, 1 << 20] {
        let numbers = || (1..).take(count).collect();
        let mut free = FreeNumbers {
            product: (1..)
                .filter(|n| !stored.products.contains_key(n))
                .take(count)
                .collect(),
            client: numbers(),
            address: numbers(),
        };
        free.client.retain(|n| !stored.clients.contains_key(n));
        free.address.retain(|n| !stored.addresses.contains_key(n));
        let decision = decide(stored, entries, &mut free);
        if decision.shortage == Shortage::default() {
            return decision;
        }
    }
    panic!("a million numbers are not enough");
}

/// What the database does with a decision.
fn store(stored: &mut Stored, decision: &Decision) {
    let changes = &decision.changes;
    let put = |is_new: bool, was_there: bool, what: &str| {
        assert_eq!(is_new, !was_there, "{what} is written as what it is not");
    };
    for row in &changes.districts {
        let before = stored.districts.insert(row.row.0, row.row.1.clone());
        put(row.is_new, before.is_some(), "a district");
    }
    for row in &changes.products {
        let before = stored.products.insert(row.row.number, row.row.clone());
        put(row.is_new, before.is_some(), "a product");
    }
    for row in &changes.product_ids {
        let before = stored.product_ids.insert(row.row.0.clone(), row.row.1);
        put(row.is_new, before.is_some(), "a product's id");
    }
    for row in &changes.addresses {
        let before = stored.addresses.insert(row.row.1.number, row.row.0);
        put(row.is_new, before.is_some(), "an address");
        assert!(
            before.is_none_or(|owner| owner == row.row.0),
            "an address moved to another client"
        );
        let district = row.row.1.district_number;
        assert!(district.is_none_or(|number| stored.districts.contains_key(&number)));
    }
    for row in &changes.prices {
        assert!(stored.products.contains_key(&row.row.1.product_number));
    }
    for row in &changes.clients {
        let before = stored.clients.insert(row.row.number, row.row.clone());
        put(row.is_new, before.is_some(), "a client");
        for phone in row.row.phone.iter().chain(&row.row.phones) {
            assert!(phone.starts_with('+'), "{phone} is no E.164");
        }
    }
    let mut ids: Vec<_> = stored
        .clients
        .values()
        .filter_map(|client| client.sender_id.as_ref())
        .collect();
    ids.sort_unstable();
    assert!(
        ids.windows(2).all(|pair| pair[0] != pair[1]),
        "two clients of one id"
    );
}

/// A text says the same in each encoding, and CSV says the same as JSON.
fn spelt_otherwise(subject: Subject, file: &[u8], table: &Result<Rows, Unreadable>) {
    let Ok(text) = std::str::from_utf8(file) else {
        return;
    };
    if text.starts_with(['\u{feff}']) || *table == Err(Unreadable::Workbook) {
        return;
    }
    let with_bom = format!("\u{feff}{text}");
    assert_eq!(
        table::read(subject, with_bom.as_bytes()),
        *table,
        "with a BOM"
    );
    for units in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes: Vec<u8> = with_bom.encode_utf16().flat_map(units).collect();
        assert_eq!(table::read(subject, &bytes), *table, "in UTF-16");
    }
    if let Ok(table) = table
        && !text.trim_start().starts_with(['[', '{'])
    {
        let json = json(subject, table);
        let read = table::read(subject, json.as_bytes());
        let rows = read.map(|table| table.rows);
        assert_eq!(rows.as_ref(), Ok(&table.rows), "as JSON: {json}");
    }
}

/// The rows of a CSV file as JSON, each on the line where it stood.
fn json(subject: Subject, table: &Rows) -> String {
    let columns = subject.columns();
    let groups = columns
        .groups
        .iter()
        .map(|group| (group.name, group.columns));
    let names: Vec<Name> = plain(columns.plain).into_iter().chain(groups).collect();
    let mut json = "[".to_owned();
    let mut line = 1;
    for (index, row) in table.rows.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        while line < row.line {
            json.push('\n');
            line += 1;
        }
        object(&mut json, row, &names);
    }
    json + "]"
}

/// A column, or a group and its columns.
type Name = (&'static str, &'static [&'static str]);

fn plain(columns: &'static [&'static str]) -> Vec<Name> {
    columns.iter().map(|column| (*column, &[][..])).collect()
}

fn object(json: &mut String, row: &Row, names: &[Name]) {
    let mut before = '{';
    for (name, columns) in names {
        let Some(value) = row.get(name) else { continue };
        let _ = write!(json, "{before}\"{name}\":");
        before = ',';
        match value {
            Value::Null => json.push_str("null"),
            Value::Text(text) => json.push_str(&json!(text).to_string()),
            Value::BadText => json.push_str("\"\\u0000\""),
            Value::Object(row) => object(json, row, &plain(columns)),
            Value::List(rows) => {
                let [Value::Object(row)] = &rows[..] else {
                    panic!("a line of CSV brings one of each group: {rows:?}");
                };
                json.push('[');
                object(json, row, &plain(columns));
                json.push(']');
            }
            Value::Bool(_) | Value::Number(_) => panic!("CSV knows texts only: {value:?}"),
        }
    }
    if before == '{' {
        json.push('{');
    }
    json.push('}');
}
