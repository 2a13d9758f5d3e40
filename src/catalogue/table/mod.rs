//! A file's bytes -> its rows, whatever encoding and separator it came in, CSV or JSON.
//!
//! Both end in the same tree: a CSV column `addresses.city` says what `{"addresses": [{"city": …}]}` says in JSON.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1251};

use self::rows::line_at;
pub use self::rows::{Columns, Group, Row, Rows, Unreadable, Value};
use super::Subject;

mod csv;
mod json;
mod rows;

/// Reads a file. [`Unreadable`]: it makes no sense as a whole; a bad line is one of the rows' problems instead.
pub fn read(subject: Subject, bytes: &[u8]) -> Result<Rows, Unreadable> {
    read_text(subject, &decode(bytes)?)
}

/// The same of a file of which somebody says how it is encoded.
pub fn read_as(
    encoding: &'static Encoding,
    subject: Subject,
    bytes: &[u8],
) -> Result<Rows, Unreadable> {
    read_text(subject, &decode_as(encoding, bytes)?)
}

fn read_text(subject: Subject, text: &str) -> Result<Rows, Unreadable> {
    let start = text.trim_start();
    if start.is_empty() {
        return Err(Unreadable::Empty);
    }
    if start.starts_with(['[', '{']) {
        json::read(subject, text)
    } else {
        csv::read(subject, text)
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

fn decode_as<'b>(encoding: &'static Encoding, bytes: &'b [u8]) -> Result<Cow<'b, str>, Unreadable> {
    let bytes = Encoding::for_bom(bytes)
        .filter(|(marked, _)| *marked == encoding)
        .map_or(bytes, |(_, bom)| &bytes[bom..]);
    let decode =
        |bytes: &'b [u8]| encoding.decode_without_bom_handling_and_without_replacement(bytes);
    decode(bytes).ok_or_else(|| {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let line = lines.position(|line| decode(line).is_none());
        Unreadable::BadEncoding(line.map_or(1, |before| before + 1))
    })
}

#[cfg(test)]
mod tests {
    use encoding_rs::{IBM866, KOI8_R};

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
                let table = read(Subject::Products, &bytes).expect("readable");
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
        let table = read(Subject::Clients, &bytes).expect("readable");
        assert_eq!(cell(&table, 0, "username"), Some("Пётр"));
    }

    #[test]
    fn an_encoding_that_is_named_is_taken_at_its_word() {
        for encoding in [IBM866, KOI8_R, WINDOWS_1251, UTF_8] {
            let bytes = encoding.encode("number;username\n1;Пётр").0;
            let table = read_as(encoding, Subject::Clients, &bytes).expect("readable");
            assert_eq!(cell(&table, 0, "username"), Some("Пётр"), "{encoding:?}");
        }
        let marked = "\u{feff}number;username\n1;Пётр".as_bytes();
        let table = read_as(UTF_8, Subject::Clients, marked).expect("readable");
        assert_eq!(table.rows.len(), 1);
        let bytes = WINDOWS_1251.encode("number;username\n1;Пётр").0;
        assert_eq!(
            read_as(UTF_8, Subject::Clients, &bytes),
            Err(Unreadable::BadEncoding(2))
        );
    }

    #[test]
    fn a_slip_in_utf_8_is_no_windows_1251() {
        let mut bytes = "number;name\n1;Вода питьевая\n2;Помпа".as_bytes().to_vec();
        bytes.pop();
        assert_eq!(
            read(Subject::Products, &bytes),
            Err(Unreadable::BadEncoding(3))
        );
        assert_eq!(
            read(Subject::Products, b"PK\x03\x04\x14\0"),
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
            let error = read(Subject::Products, header.as_bytes()).expect_err(header);
            assert_eq!(error.to_string(), text);
        }
        let error =
            read(Subject::Clients, br#"[{"number":1},{"adresses":[]}]"#).expect_err("misspelt");
        assert_eq!(
            error.to_string(),
            "unknown key on line 1 \"adresses\": did you mean addresses?"
        );
    }

    #[test]
    fn a_line_with_too_many_or_too_few_cells_is_bad_by_itself() {
        let table = read(
            Subject::Products,
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
                Subject::Products,
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
        let csv = read(Subject::Clients, csv.as_bytes()).expect("CSV");
        let json = read(Subject::Clients, json.as_bytes()).expect("JSON");
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
                read(Subject::Products, text.as_bytes())
                    .expect_err(text)
                    .to_string(),
                error
            );
        }
        let error = read(Subject::Products, b"[{\"number\":1},\n").expect_err("cut off");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
