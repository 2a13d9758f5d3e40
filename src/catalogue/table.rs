//! A file's bytes -> its rows, whatever encoding and separator it came in, CSV or JSON.
//!
//! Both end in the same tree: a CSV column `addresses.city` says what `{"addresses": [{"city": …}]}` says in JSON.

use std::{borrow::Cow, collections::BTreeMap};

use encoding_rs::{Encoding, UTF_8, WINDOWS_1251};
use serde_json::value::RawValue;

use super::{Kind, Problem};
use crate::order::raw;

/// What a file of one kind may say.
#[derive(Debug)]
pub struct Columns {
    /// Columns of the record itself.
    pub plain: &'static [&'static str],
    /// Columns of what belongs to it: `group.column` in CSV, an object or a list of objects in JSON.
    pub groups: &'static [Group],
    /// One of these tells which record is meant.
    pub keys: &'static [&'static str],
}

/// Columns that go together.
#[derive(Debug)]
pub struct Group {
    /// The word before the dot.
    pub name: &'static str,
    /// The words behind it.
    pub columns: &'static [&'static str],
    /// A record may have several; in CSV each of its lines brings one.
    pub many: bool,
}

impl Columns {
    /// Every column as a header spells it.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let plain = self.plain.iter().map(ToString::to_string);
        plain.chain(self.groups.iter().flat_map(|group| {
            group
                .columns
                .iter()
                .map(|column| format!("{}.{column}", group.name))
        }))
    }
}

/// A file that cannot be read at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unreadable {
    /// `PK…`
    #[error("this is an Excel workbook or an archive: save it as CSV (UTF-8) and import that")]
    Workbook,
    /// Neither UTF-8 nor Windows-1251.
    #[error("broken UTF-8 on line {0}: save the file anew as UTF-8 or Windows-1251")]
    BadEncoding(usize),
    #[error("the file is empty: its first line must name the columns")]
    Empty,
    /// A column or a key that means nothing to us: its data would be lost without a word.
    #[error("unknown {0}")]
    UnknownColumn(String),
    #[error("the column {0} stands there twice")]
    DoubledColumn(String),
    /// No column tells which record is meant.
    #[error("no column tells which record is meant: one of {0} is needed")]
    NoKey(String),
    /// An opening quote without its closing one: what follows is no longer told apart.
    #[error("a quote is opened on line {0} and never closed")]
    OpenQuote(usize),
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON of another form.
    #[error(
        "an array of objects is expected, as in [{{\"number\": 1}}]; line {0} has something else"
    )]
    NotObjects(usize),
}

/// A value in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An empty cell, `null` or `""`.
    Null,
    /// `true` or `false` of JSON.
    Bool(bool),
    /// A number of JSON, as written.
    Number(String),
    /// A cell of CSV, without spaces around it, or a text of JSON.
    Text(String),
    /// A text with a NUL or a lone surrogate.
    BadText,
    List(Vec<Value>),
    /// What belongs together.
    Object(Row),
}

/// One row, or a group of columns within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it starts in the file, from 1.
    pub line: usize,
    /// The group's name; empty for the row itself.
    pub group: &'static str,
    cells: BTreeMap<&'static str, Value>,
}

impl Row {
    /// The value of a column; `None` when the file does not have the column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.cells.get(column)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Rows {
    /// Its rows in their order.
    pub rows: Vec<Row>,
    /// Lines that are no rows.
    pub problems: Vec<Problem>,
}

/// Reads a file.
///
/// # Errors
/// [`Unreadable`] when the file as a whole makes no sense; a bad line is a [`Problem`] instead.
pub fn read(kind: Kind, bytes: &[u8]) -> Result<Rows, Unreadable> {
    let text = decode(bytes)?;
    let start = text.trim_start();
    if start.is_empty() {
        return Err(Unreadable::Empty);
    }
    if start.starts_with(['[', '{']) {
        json(kind, &text)
    } else {
        csv(kind, &text)
    }
}

/// UTF-8 with or without a BOM, UTF-16 with one, else Windows-1251.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(Unreadable::Workbook);
    }
    let (encoding, bom) = Encoding::for_bom(bytes).unwrap_or((UTF_8, 0));
    let bytes = &bytes[bom..];
    if encoding != UTF_8 {
        return Ok(encoding.decode_without_bom_handling(bytes).0);
    }
    let Err(error) = std::str::from_utf8(bytes) else {
        return Ok(String::from_utf8_lossy(bytes));
    };
    // A slip in a UTF-8 file must not turn all its names into garbage, so it is not taken for Windows-1251: there,
    // Russian words are hardly ever valid UTF-8.
    let (good, bad) = bytes.utf8_chunks().fold((0, 0), |(good, bad), chunk| {
        let wide = chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        (good + wide, bad + chunk.invalid().len())
    });
    if bom > 0 || good > bad {
        return Err(Unreadable::BadEncoding(line_at(bytes, error.valid_up_to())));
    }
    Ok(WINDOWS_1251.decode_without_bom_handling(bytes).0)
}

/// The line of a byte, from 1.
fn line_at(bytes: &[u8], at: usize) -> usize {
    // As many lines as there are line ends before it, and the one it is in.
    bytes[..at].split(|b| *b == b'\n').count()
}

/// Where a column's cells go: its group, none for the record itself, and its name there.
type Place = (Option<&'static Group>, &'static str);

fn csv(kind: Kind, text: &str) -> Result<Rows, Unreadable> {
    let columns = kind.columns();
    // No column has either in its name, so the header tells.
    let header = text.trim_start().lines().next().unwrap_or_default();
    let separator = if header.contains(';') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    // Reading a text in memory as text cannot fail.
    let mut next = |record: &mut csv::StringRecord| {
        let start = usize::try_from(reader.position().byte()).unwrap_or(text.len());
        let more = reader.read_record(record).unwrap_or(false);
        let blank = text[start..].len() - text[start..].trim_start_matches(['\r', '\n']).len();
        more.then_some(start + blank)
    };

    next(&mut record);
    let mut places: Vec<Option<Place>> = Vec::new();
    for name in &record {
        let name = name.trim().to_lowercase();
        let place = place(columns, &name);
        if place.is_none() && !name.is_empty() {
            return Err(unknown("column", &name, columns.names()));
        }
        if place.is_some() && places.contains(&place) {
            return Err(Unreadable::DoubledColumn(name));
        }
        places.push(place);
    }
    let is_key = |(group, name): &Place| group.is_none() && columns.keys.contains(name);
    if !places.iter().flatten().any(is_key) {
        return Err(Unreadable::NoKey(columns.keys.join(", ")));
    }

    let mut table = Rows {
        rows: Vec::new(),
        problems: Vec::new(),
    };
    let (mut line, mut counted) = (1, 0);
    let mut last = 0;
    while let Some(start) = next(&mut record) {
        line += line_at(&text.as_bytes()[counted..], start - counted) - 1;
        (counted, last) = (start, start);
        // What a spreadsheet leaves behind its last row.
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let beyond = record.iter().enumerate().any(|(index, cell)| {
            places.get(index).is_none_or(Option::is_none) && !cell.trim().is_empty()
        });
        if beyond || record.len() < places.len() {
            let reason = format!(
                "{} cells where the header has {} columns: a separator or a quote too many or too few",
                record.len(),
                places.len()
            );
            table.problems.push(Problem {
                kind,
                line,
                column: String::new(),
                reason,
            });
            continue;
        }
        table.rows.push(row_of_cells(line, &places, &record));
    }
    let tail = text[last..].trim_end();
    if tail.contains('\n') && tail.matches('"').count() % 2 == 1 {
        return Err(Unreadable::OpenQuote(line));
    }
    Ok(table)
}

fn place(columns: &Columns, name: &str) -> Option<Place> {
    if let Some(plain) = columns.plain.iter().find(|plain| **plain == name) {
        return Some((None, plain));
    }
    let (group, name) = name.split_once('.')?;
    let group = columns.groups.iter().find(|known| known.name == group)?;
    let column = group.columns.iter().find(|column| **column == name)?;
    Some((Some(group), column))
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

fn row_of_cells(line: usize, places: &[Option<Place>], record: &csv::StringRecord) -> Row {
    let mut row = Row {
        line,
        group: "",
        cells: BTreeMap::new(),
    };
    let mut groups: BTreeMap<&'static str, (bool, Row)> = BTreeMap::new();
    for (place, cell) in places.iter().zip(record) {
        let Some((group, column)) = *place else {
            continue;
        };
        let value = match cell.trim() {
            "" => Value::Null,
            cell if cell.contains('\0') => Value::BadText,
            cell => Value::Text(cell.to_owned()),
        };
        let Some(group) = group else {
            row.cells.insert(column, value);
            continue;
        };
        let (_, object) = groups.entry(group.name).or_insert_with(|| {
            let object = Row {
                line,
                group: group.name,
                cells: BTreeMap::new(),
            };
            (group.many, object)
        });
        object.cells.insert(column, value);
    }
    for (name, (many, object)) in groups {
        if !many {
            row.cells.insert(name, Value::Object(object));
        } else if object.cells.values().any(|value| *value != Value::Null) {
            row.cells
                .insert(name, Value::List(vec![Value::Object(object)]));
        }
    }
    row
}

fn json(kind: Kind, text: &str) -> Result<Rows, Unreadable> {
    if !text.trim_start().starts_with('[') {
        return Err(Unreadable::NotObjects(1));
    }
    let elements: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| Unreadable::NotJson(error.to_string()))?;
    let columns = kind.columns();
    let mut table = Rows {
        rows: Vec::with_capacity(elements.len()),
        problems: Vec::new(),
    };
    for element in elements {
        let line = line_of(text, element.get());
        match object(text, element.get(), "", columns.plain, columns.groups)? {
            Some(row) => table.rows.push(row),
            None => return Err(Unreadable::NotObjects(line)),
        }
    }
    Ok(table)
}

/// The line where a part of the text starts.
fn line_of(text: &str, part: &str) -> usize {
    line_at(text.as_bytes(), part.as_ptr().addr() - text.as_ptr().addr())
}

/// Reads an object; `None` when it is none.
fn object(
    text: &str,
    part: &str,
    group: &'static str,
    plain: &'static [&'static str],
    groups: &'static [Group],
) -> Result<Option<Row>, Unreadable> {
    let line = line_of(text, part);
    if !part.starts_with('{') {
        return Ok(None);
    }
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(part)
        .map_err(|error| Unreadable::NotJson(format!("object on line {line}: {error}")))?;
    let mut cells = BTreeMap::new();
    for (name, raw) in fields {
        if let Some(plain) = plain.iter().find(|plain| **plain == name) {
            cells.insert(*plain, value(raw.get()));
        } else if let Some(found) = groups.iter().find(|known| known.name == name) {
            cells.insert(found.name, group_value(text, raw.get(), found)?);
        } else {
            let all = plain.iter().chain(groups.iter().map(|group| &group.name));
            let place = format!("key on line {line}");
            return Err(unknown(&place, &name, all.map(ToString::to_string)));
        }
    }
    Ok(Some(Row { line, group, cells }))
}

fn group_value(text: &str, raw: &str, group: &'static Group) -> Result<Value, Unreadable> {
    let read = |part| {
        Ok(match object(text, part, group.name, group.columns, &[])? {
            Some(row) => Value::Object(row),
            None => Value::BadText,
        })
    };
    match raw::value(raw) {
        raw::Value::Null => Ok(Value::Null),
        raw::Value::Object(part) if !group.many => read(part),
        raw::Value::Array(part) if group.many => {
            let entries = raw::entries(part, usize::MAX).into_iter();
            entries.map(read).collect::<Result<_, _>>().map(Value::List)
        }
        _ => Ok(Value::BadText),
    }
}

fn value(raw: &str) -> Value {
    match raw::value(raw) {
        raw::Value::Null => Value::Null,
        raw::Value::Bool(flag) => Value::Bool(flag),
        raw::Value::Number(number) => Value::Number(number.to_owned()),
        raw::Value::Text(text) if text.contains('\0') => Value::BadText,
        raw::Value::Text(text) => Value::Text(text.into_owned()),
        raw::Value::BadText | raw::Value::Object(_) => Value::BadText,
        raw::Value::Array(array) => Value::List(
            raw::entries(array, usize::MAX)
                .into_iter()
                .map(value)
                .collect(),
        ),
    }
}

/// Says which name was probably meant, or else which there are.
fn unknown(place: &str, name: &str, known: impl Iterator<Item = String>) -> Unreadable {
    let known: Vec<String> = known.collect();
    let nearest = known
        .iter()
        .map(|known| (distance(name, known), known))
        .min();
    Unreadable::UnknownColumn(match nearest {
        Some((distance, nearest)) if distance <= 2.max(name.chars().count() / 3) => {
            format!("{place} \"{name}\": did you mean {nearest}?")
        }
        _ => format!("{place} \"{name}\": there are {}", known.join(", ")),
    })
}

/// How many letters must be put in, left out or exchanged to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let exchanged = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell<'t>(table: &'t Rows, row: usize, column: &str) -> Option<&'t str> {
        match table.rows[row].get(column)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    const FILE: &str = "Number;Name;Sender_IDs\r\n28;\"Вода; 19 л. \"\"Ваш\"\" бренд\";a|b\r\n;;\r\n\r\n36; Помпа №1 ;\r\n";

    #[test]
    fn encodings_and_separators_are_told_apart() {
        let commas = FILE.replace("; 19", ", 19").replace(';', ",");
        for text in [FILE, &commas] {
            let utf_16: Vec<u8> = "\u{feff}"
                .encode_utf16()
                .chain(text.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect();
            for bytes in [
                text.as_bytes().to_vec(),
                format!("\u{feff}{text}").into_bytes(),
                WINDOWS_1251.encode(text).0.into_owned(),
                utf_16,
            ] {
                let table = read(Kind::Products, &bytes).expect("readable");
                assert_eq!(table.problems, []);
                assert_eq!(table.rows.len(), 2);
                assert_eq!(
                    cell(&table, 0, "name").map(|name| name.replace(';', ",")),
                    Some("Вода, 19 л. \"Ваш\" бренд".into())
                );
                assert_eq!(cell(&table, 1, "name"), Some("Помпа №1"));
                assert_eq!(table.rows[1].get("sender_ids"), Some(&Value::Null));
                assert_eq!(table.rows[1].get("active"), None);
                assert_eq!(table.rows[1].line, 5);
            }
        }
    }

    #[test]
    fn a_short_word_in_windows_1251_that_happens_to_be_utf_8_does_not_mislead() {
        let bytes = WINDOWS_1251.encode("number;username\n1;Пётр").0;
        let table = read(Kind::Clients, &bytes).expect("readable");
        assert_eq!(cell(&table, 0, "username"), Some("Пётр"));
    }

    #[test]
    fn a_slip_in_utf_8_is_no_windows_1251() {
        let mut bytes = "number;name\n1;Вода питьевая\n2;Помпа".as_bytes().to_vec();
        bytes.pop();
        assert_eq!(
            read(Kind::Products, &bytes),
            Err(Unreadable::BadEncoding(3))
        );
        assert_eq!(
            read(Kind::Products, b"PK\x03\x04\x14\0"),
            Err(Unreadable::Workbook)
        );
    }

    #[test]
    fn an_unknown_column_is_refused_with_a_suggestion() {
        for (header, text) in [
            ("number;nam", "unknown column \"nam\": did you mean name?"),
            (
                "number;senders_id",
                "unknown column \"senders_id\": did you mean sender_ids?",
            ),
            (
                "number;цена",
                "unknown column \"цена\": there are number, sender_ids, name, active",
            ),
            ("number;name;number", "the column number stands there twice"),
            (
                "name",
                "no column tells which record is meant: one of number, sender_ids is needed",
            ),
        ] {
            let error = read(Kind::Products, header.as_bytes()).expect_err(header);
            assert_eq!(error.to_string(), text);
        }
        let error =
            read(Kind::Clients, br#"[{"number":1},{"adresses":[]}]"#).expect_err("misspelt");
        assert_eq!(
            error.to_string(),
            "unknown key on line 1 \"adresses\": did you mean addresses?"
        );
    }

    #[test]
    fn a_line_with_too_many_or_too_few_cells_is_bad_by_itself() {
        let table = read(
            Kind::Products,
            "number,name,\n1,a,\n2\n3,b,,,\n4,c,d\n5,\"e\nf\",\n".as_bytes(),
        )
        .expect("readable");
        let lines: Vec<usize> = table.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [3, 5]);
        let lines: Vec<usize> = table.rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [2, 4, 6]);
    }

    #[test]
    fn a_quote_that_is_never_closed_swallows_nothing() {
        assert_eq!(
            read(
                Kind::Products,
                "number,name\n1,a\n2,\"b\n3,c\n4,d\n".as_bytes()
            ),
            Err(Unreadable::OpenQuote(3))
        );
    }

    #[test]
    fn a_csv_column_says_what_the_key_of_that_name_says_in_json() {
        let csv =
            "number,bank_account.inn,addresses.city,prices.product\n68,1,Сыктывкар,\n68,,,36\n";
        let json = r#"[{"number":"68","bank_account":{"inn":"1"},"addresses":[{"city":"Сыктывкар"}]},
            {"number":"68","bank_account":{"inn":null},
             "prices":[{"product":"36"}]}]"#;
        let csv = read(Kind::Clients, csv.as_bytes()).expect("CSV");
        let json = read(Kind::Clients, json.as_bytes()).expect("JSON");
        let inn = |table: &Rows| match table.rows[0].get("bank_account") {
            Some(Value::Object(account)) => account.get("inn").cloned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(inn(&csv), Some(Value::Text("1".into())));
        assert_eq!(inn(&csv), inn(&json));
        assert_eq!(csv.rows[1].get("addresses"), None);
        let Some(Value::List(prices)) = json.rows[1].get("prices") else {
            panic!("{json:?}");
        };
        assert!(matches!(&prices[0], Value::Object(row) if row.line == 3));
    }

    #[test]
    fn what_is_no_array_of_objects_is_refused() {
        for (text, error) in [
            (
                "",
                "the file is empty: its first line must name the columns",
            ),
            (
                "{\"number\":1}",
                "an array of objects is expected, as in [{\"number\": 1}]; line 1 has something else",
            ),
            (
                "[{\"number\":1},\n 2]",
                "an array of objects is expected, as in [{\"number\": 1}]; line 2 has something else",
            ),
        ] {
            assert_eq!(
                read(Kind::Products, text.as_bytes())
                    .expect_err(text)
                    .to_string(),
                error
            );
        }
        let error = read(Kind::Products, b"[{\"number\":1},\n").expect_err("cut off");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
