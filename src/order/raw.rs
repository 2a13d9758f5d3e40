//! JSON as it came: an object's fields still unread, a value's kind, and what of JSON we cannot hold (contract §2).

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer as _,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The deepest nesting of an element that is held.
const MAX_DEPTH: usize = 127;

/// Reads an object's fields of these names, unread yet, in the order of `names`; of a doubled key the last counts.
///
/// `None` when the text is an object whose keys cannot be read (a lone surrogate in one).
pub fn fields<'a, const N: usize>(
    object: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    struct Fields<'n, const N: usize>([&'n str; N]);
    struct Name<'n, const N: usize>(&'n [&'n str; N]);

    impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
        type Value = [Option<&'de RawValue>; N];

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            while let Some(name) = map.next_key_seed(Name(&self.0))? {
                match name {
                    Some(index) => found[index] = Some(map.next_value()?),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(found)
        }
    }

    impl<'de, const N: usize> DeserializeSeed<'de> for Name<'_, N> {
        type Value = Option<usize>;

        fn deserialize<D: serde::Deserializer<'de>>(
            self,
            deserializer: D,
        ) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_str(self)
        }
    }

    impl<const N: usize> Visitor<'_> for Name<'_, N> {
        type Value = Option<usize>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a key")
        }

        fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
            Ok(self.0.iter().position(|name| *name == key))
        }
    }

    serde_json::Deserializer::from_str(object)
        .deserialize_map(Fields(names))
        .ok()
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
pub fn is_beyond_us(element: &str) -> bool {
    let bytes = element.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
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
            b'e' | b'E' if at > 0 && bytes[at - 1].is_ascii_digit() => {
                let is_part =
                    |b: &u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
                let start = bytes[..at]
                    .iter()
                    .rposition(|b| !is_part(b))
                    .map_or(0, |before| before + 1);
                let end = bytes[at..]
                    .iter()
                    .position(|b| !is_part(b))
                    .map_or(bytes.len(), |length| at + length);
                if !element[start..end].parse::<f64>().is_ok_and(f64::is_finite) {
                    return true;
                }
                at = end - 1;
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
        let [a, b] =
            fields(r#"{"a":1,"x":{"a":9},"a":2,"\u0062":3}"#, ["a", "b"]).expect("an object");
        assert_eq!(a.map(RawValue::get), Some("2"));
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
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(!is_beyond_us(&deep(127)));
        assert!(is_beyond_us(&deep(128)));
        assert!(is_beyond_us(r#"{"x":1e400}"#));
        assert!(is_beyond_us(r#"{"x":[-1.5E+999]}"#));
        assert!(!is_beyond_us(
            r#"{"x":1e40,"1e400":"1e400","y":true,"e":1}"#
        ));
        assert!(is_beyond_us(r#"{"x":"\ud800"}"#));
        assert!(is_beyond_us(r#"{"x":"\ud800\n"}"#));
        assert!(is_beyond_us(r#"{"\udc00":1}"#));
        assert!(!is_beyond_us(r#"{"x":"\ud83d\ude00 \\ud800 \" [[["}"#));
        assert!(!is_beyond_us(&format!(r#"{{"x":"{}"}}"#, "[".repeat(500))));
    }
}
