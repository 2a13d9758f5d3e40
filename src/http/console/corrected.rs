//! What an operator changed in the text of an order before he sent it in, value by value, as an order's history tells changes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

/// Values that are told, and characters of each.
const MOST: usize = 200;
const LONGEST: usize = 200;

/// Requests that orders come in with from here begin so.
const REQUEST: &str = "console-";

pub(super) fn request_id() -> String {
    format!("{REQUEST}{}", Uuid::now_v7())
}

/// Whether an order came in from here.
pub(super) fn is_from_here(request_id: &str) -> bool {
    request_id.starts_with(REQUEST)
}

/// `{path: [from, to]}`: of two texts of an order the values that differ. A text that is no JSON has none.
pub(super) fn changes(before: &str, after: &str) -> Value {
    let read = |text: &str| {
        let mut values = BTreeMap::new();
        if let Ok(order) = serde_json::from_str(text) {
            add_values(String::new(), order, &mut values);
        }
        values
    };
    let (mut before, after) = (read(before), read(after));
    let mut pairs: BTreeMap<String, [Value; 2]> = BTreeMap::new();
    for (path, to) in after {
        let from = before.remove(&path).unwrap_or_default();
        pairs.insert(path, [from, to]);
    }
    pairs.extend(
        before
            .into_iter()
            .map(|(path, from)| (path, [from, Value::Null])),
    );
    let changed = pairs.into_iter().filter(|(_, [from, to])| from != to);
    let changed = changed.take(MOST).map(|(path, pair)| (path, json!(pair)));
    Value::Object(changed.collect())
}

/// Adds what is no list and no object, by its path.
fn add_values(path: String, value: Value, values: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                add_values(format!("{path}{dot}{name}"), value, values);
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            for (place, value) in entries.into_iter().enumerate() {
                add_values(format!("{path}[{place}]"), value, values);
            }
        }
        Value::Object(_) | Value::Array(_) => {
            values.insert(path, value.to_string().into());
        }
        Value::String(text) => {
            let short: String = text.chars().take(LONGEST).collect();
            let more = if short.len() < text.len() { "…" } else { "" };
            values.insert(path, format!("{short}{more}").into());
        }
        plain => {
            values.insert(path, plain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_by_its_path_and_nothing_else() {
        let before = r#"{"id": "A", "total": "дорого", "client": {"phones": ["1", "2"], "name": "Ян"}, "order_item_list": [{"price": 1}], "coins": 5}"#;
        let after = r#"{"order_item_list": [{"price": 1}, {"price": 2.5}], "client": {"name": "Ян", "phones": ["1"]}, "total": 710, "id": "A", "tags": []}"#;
        assert_eq!(
            changes(before, after),
            json!({
                "client.phones[1]": ["2", null],
                "coins": [5, null],
                "order_item_list[1].price": [null, 2.5],
                "tags": [null, "[]"],
                "total": ["дорого", 710],
            })
        );
        assert_eq!(changes(after, after), json!({}));
        // Laid out in another way it is the same.
        assert_eq!(changes("{\"a\":1}", "{ \"a\" : 1 }\n"), json!({}));
        assert_eq!(changes("no JSON", "{\"a\": 1}"), json!({ "a": [null, 1] }));
    }

    #[test]
    fn long_texts_and_many_values_are_cut() {
        let long = "щ".repeat(LONGEST + 1);
        let told = changes("{}", &json!({ "comment": long }).to_string());
        let told = told["comment"][1].as_str().expect("a text");
        assert_eq!(told.chars().count(), LONGEST + 1);
        assert!(told.ends_with('…'));
        let many: Vec<usize> = (1..=2 * MOST).collect();
        let told = changes("{}", &json!({ "list": many }).to_string());
        assert_eq!(told.as_object().map(serde_json::Map::len), Some(MOST));
    }
}
