//! A JSON array's text -> its elements.

use std::{collections::BTreeMap, fmt, ops::Range};

use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    http::failure::{
        Failure,
        looks_like::{LooksLike, SafeName},
    },
    order::list_key::ListKey,
};

/// Finds the array's elements in `text`, as ranges of bytes. It checks JSON's grammar alone, and without recursion: a lone
/// surrogate, `1e400` or nesting without end spoils the element that has it and no other (contract §2).
pub fn split(text: &str, most_orders: usize) -> Result<Vec<Range<usize>>, Failure> {
    split_to(LEVELS_SEARCHED, text, most_orders)
}

/// So deep in an object a 400 tells the list's keys: `{"data":{"result":{"orders":[…]}}}`.
const LEVELS_SEARCHED: usize = 3;

fn split_to(levels: usize, text: &str, most_orders: usize) -> Result<Vec<Range<usize>>, Failure> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut too_many = false;
    let visitor = ElementRanges {
        text,
        levels,
        most_orders,
        too_many: &mut too_many,
    };
    let found = match text.trim_ascii_start().as_bytes().first() {
        Some(b'[') => reader.deserialize_seq(visitor),
        Some(b'{') => reader.deserialize_map(visitor),
        _ => IgnoredAny::deserialize(&mut reader).map(|_| Err(LooksLike::of_scalar(text))),
    };
    let found = found.and_then(|found| reader.end().map(|()| found));
    if too_many {
        return Err(Failure::BatchTooLarge(most_orders));
    }
    found
        .map_err(|error| malformed(text, &error))?
        .map_err(Failure::NotAnArray)
}

/// Collects the elements' ranges, and stops at more than `most_orders`: what follows may not even be JSON, but nobody shall
/// pay for finding out.
struct ElementRanges<'a> {
    text: &'a str,
    /// How many levels of objects may be searched, this one included.
    levels: usize,
    most_orders: usize,
    too_many: &'a mut bool,
}

impl ElementRanges<'_> {
    fn range(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr().addr() - self.text.as_ptr().addr();
        start..start + raw.get().len()
    }
}

impl<'de> Visitor<'de> for ElementRanges<'_> {
    /// The elements' ranges, or what the body looks like instead.
    type Value = Result<Vec<Range<usize>>, LooksLike>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of orders")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut ranges = Vec::new();
        while let Some(raw) = elements.next_element::<&RawValue>()? {
            if ranges.len() == self.most_orders {
                *self.too_many = true;
                break;
            }
            ranges.push(self.range(raw));
        }
        Ok(Ok(ranges))
    }

    /// An object whose keys are all whole numbers, one at least, is the list of its values in the order of its keys.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut list = BTreeMap::new();
        while let Some(key) = fields.next_key::<&RawValue>()? {
            let Some(position) = ListKey::of(key.get()) else {
                drop(list);
                return not_a_list(key, fields, self.levels, self.most_orders).map(Err);
            };
            let range = self.range(fields.next_value()?);
            // The last of equal keys counts.
            list.insert(position, range);
            if list.len() > self.most_orders {
                *self.too_many = true;
                break;
            }
        }
        if list.is_empty() {
            return Ok(Err(LooksLike::Object));
        }
        Ok(Ok(list.into_values().collect()))
    }
}

/// Reads the rest of an object that is no list, after its first key. It may be an order, or have the orders under a key.
fn not_a_list<'de, A: MapAccess<'de>>(
    first: &'de RawValue,
    mut fields: A,
    levels: usize,
    most_orders: usize,
) -> Result<LooksLike, A::Error> {
    let (mut here, mut deeper) = (None, None);
    let mut key = Some(first);
    while let Some(this) = key {
        let value: &RawValue = fields.next_value()?;
        let name: String = serde_json::from_str(this.get()).unwrap_or_default();
        if matches!(&*name, "id" | "status" | "client" | "order_item_list") {
            while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(LooksLike::Object);
        }
        if here.is_none() {
            match list_in(value.get(), levels, most_orders) {
                Some(inside) if inside.is_empty() => here = Some(SafeName::of(&name)),
                Some(inside) if deeper.is_none() => {
                    deeper = Some(SafeName::of(&format!("{name}.{inside}")));
                }
                _ => {}
            }
        }
        key = fields.next_key()?;
    }
    Ok(here
        .or(deeper)
        .map_or(LooksLike::Object, LooksLike::ListUnder))
}

/// The path of keys to the list in this value; empty where it is the list itself.
fn list_in(value: &str, levels: usize, most_orders: usize) -> Option<String> {
    if value.starts_with('[') {
        return Some(String::new());
    }
    if levels == 1 || !value.starts_with('{') {
        return None;
    }
    match split_to(levels - 1, value, most_orders) {
        Ok(_) | Err(Failure::BatchTooLarge(_)) => Some(String::new()),
        Err(Failure::NotAnArray(LooksLike::ListUnder(key))) => Some(key.to_string()),
        Err(_) => None,
    }
}

/// `serde_json` counts a column in bytes; people and editors count characters.
fn malformed(text: &str, error: &serde_json::Error) -> Failure {
    let line = text
        .split('\n')
        .nth(error.line().saturating_sub(1))
        .unwrap_or_default();
    let before = line
        .as_bytes()
        .get(..error.column())
        .unwrap_or(line.as_bytes());
    let is_start_of_char = |byte: &&u8| **byte & 0xC0 != 0x80;
    Failure::MalformedJson {
        line: error.line().max(1),
        column: before.iter().filter(is_start_of_char).count().max(1),
        cut_short: error.is_eof(),
        looks_like: LooksLike::of_text(text),
    }
}

/// Counts an array's elements while its text comes in. It need not be right about what is no JSON.
#[derive(Debug, Default)]
pub struct ElementCounter {
    is_array: Option<bool>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    commas: usize,
}

impl ElementCounter {
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.escaped {
                self.escaped = false;
                continue;
            }
            match byte {
                b'"' => self.in_text = !self.in_text,
                b'\\' => self.escaped = self.in_text,
                _ if self.in_text => {}
                b'[' | b'{' => {
                    self.is_array.get_or_insert(*byte == b'[');
                    self.depth += 1;
                }
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b',' if self.depth == 1 => self.commas += 1,
                _ => {}
            }
        }
    }

    /// How many elements have begun, at least.
    pub fn elements(&self) -> usize {
        match self.is_array {
            Some(true) => self.commas + 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Vec<&str> {
        let ranges = split(text, 10).expect("an array");
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn each_element_is_its_raw_json_whatever_is_in_it() {
        assert_eq!(elements("[]"), [""; 0]);
        assert_eq!(elements(" \r\n\t[ ] "), [""; 0]);
        assert_eq!(
            elements("\n[ {\"id\" : \"Ж\", \"id\":1} ,\"\\ud800\",1e400 , [1 , 2],null\t]\n"),
            [
                "{\"id\" : \"Ж\", \"id\":1}",
                "\"\\ud800\"",
                "1e400",
                "[1 , 2]",
                "null"
            ]
        );
    }

    #[test]
    fn an_object_with_whole_numbers_for_keys_is_a_list_in_their_order() {
        assert_eq!(
            elements(r#"{"10":[1],"9":2,"010":3,"0":4}"#),
            ["4", "2", "[1]", "3"]
        );
        assert_eq!(
            elements(r#" {"2" : 1 , "1":5,"2": {"2":2} } "#),
            ["5", "{\"2\":2}"]
        );
        let long = "9".repeat(100_000);
        let text = format!("{{\"{long}1\":1,\"{long}\":2,\"{long}1\":3}}");
        assert_eq!(elements(&text), ["2", "3"]);
        // A key that repeats takes no memory.
        let text = format!("{{{}\"1\":2}}", "\"1\":1,".repeat(100_000));
        assert_eq!(elements(&text), ["2"]);
        let under = |key| LooksLike::ListUnder(SafeName::of(key));
        for (text, looks_like) in [
            ("{}", LooksLike::Object),
            (r#"{"1":1,"a":2}"#, LooksLike::Object),
            (r#"{"a":[],"1":1}"#, under("a")),
            (r#"{"a":{"b":[1]}}"#, under("a.b")),
            (r#"{"a":{},"b":{"c":1,"d":{"e":[]}}}"#, under("b.d.e")),
            (r#"{"a":{"b":[]},"c":[],"d":[]}"#, under("c")),
            (r#"{"a":{"0":1,"1":1,"b":1}}"#, LooksLike::Object),
            (r#"{"a":{"b":{"c":{"d":[]}}}}"#, LooksLike::Object),
            (r#"{"a":{"0":1,"1":2}}"#, under("a")),
            (r#"{"a":{"b":{"7":1}}}"#, under("a.b")),
            (r#"{"a":{"0":1,"b":2}}"#, LooksLike::Object),
            (r#"{"a":{"id":1,"order_item_list":[]}}"#, LooksLike::Object),
        ] {
            assert_eq!(
                split(text, 10),
                Err(Failure::NotAnArray(looks_like)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_comes_behind_more_orders_than_are_taken_is_not_looked_at() {
        assert_eq!(split("[1,2]", 2), Ok(vec![1..2, 3..4]));
        for more in ["[1,2,3]", "[1,2,3", "[1,2,{},and no more JSON"] {
            assert_eq!(split(more, 2), Err(Failure::BatchTooLarge(2)), "{more}");
        }
        assert!(matches!(
            split("[1,2,", 2),
            Err(Failure::MalformedJson { .. })
        ));
    }

    #[test]
    fn elements_are_counted_while_their_text_comes_in() {
        for (text, elements) in [
            ("", 0),
            ("[", 1),
            ("[1,2,3", 3),
            (r#"[{"a":[1,2,3],"b":"x,\",[{"},2"#, 2),
            (r#"["\\",2]"#, 2),
            (r#"{"a":1,"b":2}"#, 0),
        ] {
            let mut whole = ElementCounter::default();
            whole.add(text.as_bytes());
            let mut parts = ElementCounter::default();
            for byte in text.bytes() {
                parts.add(&[byte]);
            }
            let counted = [whole.elements(), parts.elements()];
            assert_eq!(counted, [elements; 2], "{text}");
        }
    }
}
