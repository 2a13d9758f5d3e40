//! JSON as it came: an object's fields still unread, a value's kind, and what of JSON we cannot hold (contract §2).

use std::{borrow::Cow, fmt, ops::Range};

use serde::{
    Deserializer as _,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The deepest nesting of an element that is held.
const MAX_DEPTH: usize = 127;
/// Any integer of so many digits is a finite float.
const MOST_FLOAT_DIGITS: usize = 308;

/// Reads an object's fields of these names, unread yet, in the order of `names`; of a doubled key the last counts.
pub fn fields<'a, const N: usize>(object: &'a str, names: [&str; N]) -> [Option<&'a RawValue>; N] {
    struct Fields<'n, const N: usize>([&'n str; N]);

    impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
        type Value = [Option<&'de RawValue>; N];

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            // Keys come as written too: one with a lone surrogate is no field of ours, and hides none.
            while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                let Some(key) = string(key.get()) else {
                    continue;
                };
                if let Some(index) = self.0.iter().position(|name| *name == key) {
                    found[index] = Some(value);
                }
            }
            Ok(found)
        }
    }

    // The whole was read as JSON before, and whoever calls saw the brace: this cannot fail.
    serde_json::Deserializer::from_str(object)
        .deserialize_map(Fields(names))
        .unwrap_or([None; N])
}

/// A value, read as far as needed to see what it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`, and `""`, which counts as null.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(&'a str),
    /// A text.
    Text(Cow<'a, str>),
    /// A text with a lone surrogate or a NUL.
    BadText,
    /// `[…]`, as written.
    Array(&'a str),
    /// `{…}`, as written.
    Object(&'a str),
}

/// Reads a value.
pub fn value(raw: &RawValue) -> Value<'_> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => match string(text) {
            Some(text) if text.is_empty() => Value::Null,
            Some(text) => Value::Text(text),
            None => Value::BadText,
        },
        Some(b'{') => Value::Object(text),
        Some(b'[') => Value::Array(text),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'-' | b'0'..=b'9') => Value::Number(text),
        _ => Value::Null,
    }
}

fn string(quoted: &str) -> Option<Cow<'_, str>> {
    let inside = &quoted[1..quoted.len() - 1];
    // Without an escape the text stands as it is.
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    let text: String = serde_json::from_str(quoted).ok()?;
    (!text.contains('\0')).then_some(Cow::Owned(text))
}

/// An array's entries, unread yet.
pub fn entries(array: &str) -> Vec<&RawValue> {
    // The whole was read as JSON before, and `value` saw the bracket: this cannot fail.
    serde_json::from_str(array).unwrap_or_default()
}

/// Whether an element has something that JSON's grammar allows and we cannot hold: a lone surrogate, a number beyond
/// any float (`1e400`), nesting past 127. Even in a field we do not know it spoils the element (contract §2).
///
/// What stands at `blamed`, in order and apart from one another, has a fault of its own and is not looked at.
pub fn is_beyond_us(element: &str, blamed: &[Range<usize>]) -> bool {
    let bytes = element.as_bytes();
    let mut blamed = blamed.iter().peekable();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        if let Some(range) = blamed.next_if(|range| range.start <= at) {
            at = at.max(range.end);
            continue;
        }
        match b {
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => match string_end(bytes, at + 1) {
                Some(end) => at = end,
                None => return true,
            },
            b'-' | b'0'..=b'9' => {
                let is_part =
                    |b: &u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
                let number = &element[at..];
                let length = number
                    .bytes()
                    .position(|b| !is_part(&b))
                    .unwrap_or(number.len());
                let number = &number[..length];
                // Short ones without an exponent, which is nearly all of them, are within every float's range.
                if (length > MOST_FLOAT_DIGITS || number.contains(['e', 'E']))
                    && !number.parse::<f64>().is_ok_and(f64::is_finite)
                {
                    return true;
                }
                at += length - 1;
            }
            _ => {}
        }
        at += 1;
    }
    false
}

/// Where the closing quote stands; `None` when a lone surrogate comes before it.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let unit = |at: usize| {
        let hex = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => match unit(at) {
                None => at += 2,
                Some(0xD800..=0xDBFF) => {
                    matches!(unit(at + 6), Some(0xDC00..=0xDFFF)).then_some(())?;
                    at += 12;
                }
                Some(0xDC00..=0xDFFF) => return None,
                Some(_) => at += 6,
            },
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn of_a_doubled_key_the_last_counts() {
        let [a, b] = fields(r#"{"a":1,"x":{"a":9},"a":2,"\u0062":3}"#, ["a", "b"]);
        assert_eq!(a.map(RawValue::get), Some("2"));
        assert_eq!(b.map(RawValue::get), Some("3"));
    }

    #[test]
    fn an_unreadable_key_hides_no_field() {
        let [a, b] = fields(r#"{"a":1,"\ud800":2,"b":3,"a\u0000":4}"#, ["a", "b"]);
        assert_eq!(a.map(RawValue::get), Some("1"));
        assert_eq!(b.map(RawValue::get), Some("3"));
    }

    #[test]
    fn an_empty_text_counts_as_null() {
        assert_eq!(value(raw("\"\"")), Value::Null);
        assert_eq!(value(raw("null")), Value::Null);
        assert_eq!(value(raw("\" \"")), Value::Text(" ".into()));
    }

    #[test]
    fn a_text_with_a_nul_or_a_lone_surrogate_is_bad() {
        assert_eq!(value(raw(r#""a\u0000""#)), Value::BadText);
        assert_eq!(value(raw(r#""\ud800""#)), Value::BadText);
        assert_eq!(value(raw(r#""\ud83d\ude00""#)), Value::Text("😀".into()));
    }

    #[test]
    fn what_we_cannot_hold_is_seen_anywhere() {
        let is_beyond_us = |element: &str| super::is_beyond_us(element, &[]);
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(!is_beyond_us(&deep(127)));
        assert!(is_beyond_us(&deep(128)));
        assert!(is_beyond_us(r#"{"x":1e400}"#));
        assert!(is_beyond_us(r#"{"x":[-1.5E+999]}"#));
        assert!(!is_beyond_us(
            r#"{"x":1e40,"1e400":"1e400","y":true,"e":1}"#
        ));
        assert!(!is_beyond_us(&format!(r#"{{"x":-{}}}"#, "9".repeat(308))));
        assert!(is_beyond_us(&format!(r#"{{"x":-{}}}"#, "9".repeat(309))));
        assert!(is_beyond_us(&format!(r#"{{"x":{}.5}}"#, "9".repeat(309))));
        assert!(!is_beyond_us(&format!(r#"{{"x":0.{}}}"#, "9".repeat(400))));
        assert!(!is_beyond_us(r#"{"x":1e-400,"y":[0e400]}"#));
        assert!(is_beyond_us(r#"{"x":"\ud800"}"#));
        assert!(is_beyond_us(r#"{"x":"\ud800\n"}"#));
        assert!(is_beyond_us(r#"{"\udc00":1}"#));
        assert!(!is_beyond_us(r#"{"x":"\ud83d\ude00 \\ud800 \" [[["}"#));
        assert!(!is_beyond_us(&format!(r#"{{"x":"{}"}}"#, "[".repeat(500))));
    }

    #[test]
    fn what_has_a_fault_of_its_own_is_not_held_against_the_whole() {
        let element = r#"{"a":1e400,"b":"\ud800","c":[[1e400]]}"#;
        let range = |part: &str| {
            let start = element.find(part).expect("a part");
            start..start + part.len()
        };
        let (a, b, c) = (range("1e400"), range(r#""\ud800""#), range("[[1e400]]"));
        assert!(!is_beyond_us(element, &[a.clone(), b.clone(), c.clone()]));
        assert!(is_beyond_us(element, &[b.clone(), c.clone()]));
        assert!(is_beyond_us(element, &[a.clone(), c]));
        assert!(is_beyond_us(element, &[a, b]));
    }
}
