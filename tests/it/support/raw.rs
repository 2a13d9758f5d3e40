//! JSON as text, for what `serde_json::Value` cannot hold: exact numbers, lone surrogates, doubled keys, key order.

use std::collections::BTreeMap;

use serde_json::{Value, json, value::RawValue};

use super::app::changed;

/// What [`set`] takes as "no such key".
pub const ABSENT: &str = "(absent)";

/// The order with the value at that JSON pointer replaced by a text as it is, or taken out where it is [`ABSENT`].
pub fn set(order: Value, pointer: &str, text: &str) -> String {
    const HERE: &str = "<here>";
    if text == ABSENT {
        return changed(order, pointer, json!(ABSENT)).to_string();
    }
    changed(order, pointer, json!(HERE))
        .to_string()
        .replace(&format!("\"{HERE}\""), text)
}

/// The text of the value at that JSON pointer, as it came.
pub fn at<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    pointer.split('/').skip(1).try_fold(text, |text, step| {
        let raw = if text.starts_with('[') {
            serde_json::from_str::<Vec<&RawValue>>(text)
                .unwrap()
                .get(step.parse::<usize>().ok()?)
                .copied()
        } else {
            serde_json::from_str::<BTreeMap<String, &RawValue>>(text)
                .ok()?
                .get(step)
                .copied()
        };
        raw.map(RawValue::get)
    })
}

/// The keys of an object in the order in which they came.
pub fn keys(text: &str) -> Vec<String> {
    struct Keys(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Keys;
                fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Keys, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    serde_json::from_str::<Keys>(text).unwrap().0
}

/// A batch of elements given as texts.
pub fn batch<T: AsRef<str>>(elements: &[T]) -> String {
    let elements: Vec<&str> = elements.iter().map(AsRef::as_ref).collect();
    format!("[{}]", elements.join(","))
}
