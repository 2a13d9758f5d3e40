//! JSON as it came: an object's fields still unread, a value's kind, and what of JSON we cannot hold (contract §2).

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use memchr::memchr2;

use super::list_key::ListKey;

/// The deepest nesting of an element that is held.
const MAX_DEPTH: usize = 127;
/// Any integer of so many digits is a finite float.
const MOST_FLOAT_DIGITS: usize = 308;

// All texts here were read as JSON before (http::body, catalogue::table), so these walk through them and check nothing
// again; on what is no JSON they stop somewhere, and never panic.

/// Where the string whose text begins at `at` is closed: at this quote.
fn closing_quote(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
            return bytes.len();
        };
        if bytes[at + found] == b'"' {
            return at + found;
        }
        at += found + 2;
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Where the value that begins at `at` ends.
fn value_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(b) = bytes.get(at) {
        match b {
            b'"' => at = closing_quote(bytes, at + 1),
            b'{' | b'[' => depth += 1,
            // The end of what a number or a word stands in.
            b'}' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

/// Steps through the values of an array, or the keys and values of an object, one after another.
struct Steps<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Steps<'a> {
    /// Behind the bracket or brace that `container` begins with.
    fn into(container: &'a str) -> Self {
        Self {
            text: container,
            at: skip_space(container.as_bytes(), 0) + 1,
        }
    }

    /// The next value or key, and whatever separates it from the one behind.
    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = skip_space(bytes, self.at);
        if matches!(bytes.get(start), None | Some(b'}' | b']')) {
            return None;
        }
        let end = value_end(bytes, start);
        // A comma or a colon comes, or the end.
        self.at = skip_space(bytes, end) + 1;
        let is_last = matches!(bytes.get(self.at - 1), None | Some(b'}' | b']'));
        if is_last {
            self.at -= 1;
        }
        self.text.get(start..end)
    }
}

/// The keys and values of an object, unread yet.
pub fn members(object: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut steps = Steps::into(object);
    std::iter::from_fn(move || steps.next().zip(steps.next()))
}

/// Reads an object's fields of these names, unread yet, in the order of `names`; of a doubled key the last counts.
pub fn fields<'a, const N: usize>(object: &'a str, names: [&str; N]) -> [Option<&'a str>; N] {
    let mut found = [None; N];
    for (key, value) in members(object) {
        // Keys come as written too: one with a lone surrogate is no field of ours, and hides none.
        let Some(key) = string(key) else {
            continue;
        };
        if let Some(index) = names.iter().position(|name| *name == key) {
            found[index] = Some(value);
        }
    }
    found
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
    /// A text with a lone surrogate.
    BadText,
    /// `[…]`, as written.
    Array(&'a str),
    /// `{…}`, as written.
    Object(&'a str),
}

impl Value<'_> {
    /// What may be a number: a number, or a text.
    pub fn as_digits(&self) -> Option<&str> {
        match self {
            Value::Number(text) => Some(text),
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads a value.
pub fn value(text: &str) -> Value<'_> {
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

/// Reads a text with its quotes; `None`: it has a lone surrogate.
pub fn string(quoted: &str) -> Option<Cow<'_, str>> {
    let inside = quoted.strip_prefix('"')?.strip_suffix('"')?;
    // Without an escape the text stands as it is.
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(quoted).ok().map(Cow::Owned)
}

/// An array's entries, unread yet; of more than `most` one more than that.
pub fn entries(array: &str, most: usize) -> Vec<&str> {
    let mut steps = Steps::into(array);
    std::iter::from_fn(|| steps.next())
        .take(most.saturating_add(1))
        .collect()
}

/// The values of an object whose keys are all whole numbers, one at least, in the order of its keys: PHP writes a list with
/// holes so. Of a doubled key the last counts. `None` for any other object.
pub fn numbered(object: &str) -> Option<Vec<&str>> {
    let mut values = BTreeMap::new();
    for (key, value) in members(object) {
        values.insert(ListKey::of(key)?, value);
    }
    (!values.is_empty()).then(|| values.into_values().collect())
}

/// Whether a container, as written, has nothing in it.
pub fn is_empty(container: &str) -> bool {
    Steps::into(container).next().is_none()
}

/// Whether an element has something that JSON's grammar allows and we cannot hold: a lone surrogate, a number beyond
/// any float (`1e400`), nesting past 127. Even in a field we do not know it spoils the element (contract §2).
///
/// What stands at `blamed`, in order and apart from one another, has a fault of its own and is not looked at.
pub fn is_unrepresentable(element: &str, blamed: &[Range<usize>]) -> bool {
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
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        match unit(at) {
            None => at += 2,
            Some(0xD800..=0xDBFF) => {
                matches!(unit(at + 6), Some(0xDC00..=0xDFFF)).then_some(())?;
                at += 12;
            }
            Some(0xDC00..=0xDFFF) => return None,
            Some(_) => at += 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_doubled_key_the_last_counts() {
        let [a, b] = fields(r#"{"a":1,"x":{"a":9},"a":2,"\u0062":3}"#, ["a", "b"]);
        assert_eq!(a, Some("2"));
        assert_eq!(b, Some("3"));
    }

    #[test]
    fn fields_are_found_however_they_are_written() {
        let written = " {\r\n\t\"a\" : \"}\\\"]\\\\\" , \"b\":[ {\"c\" : \"[\"} , -1.5e2 ] ,\"c\":true,\"d\" : {}\n} ";
        assert_eq!(
            fields(written, ["a", "b", "c", "d", "e"]),
            [
                Some(r#""}\"]\\""#),
                Some(r#"[ {"c" : "["} , -1.5e2 ]"#),
                Some("true"),
                Some("{}"),
                None
            ]
        );
        assert_eq!(fields("{}", ["a"]), [None]);
        assert_eq!(fields("{ }", ["a"]), [None]);
        assert_eq!(fields(r#"{"a":0}"#, ["a"]), [Some("0")]);
    }

    #[test]
    fn entries_are_counted_no_further_than_they_may_be() {
        assert_eq!(entries("[]", 2), [""; 0]);
        assert_eq!(entries("[ \n]", 2), [""; 0]);
        assert_eq!(
            entries(r#"[ 1 ,"],",[[],{}]]"#, 3),
            ["1", r#""],""#, "[[],{}]"]
        );
        assert_eq!(entries("[1,2,3,4,5]", 2), ["1", "2", "3"]);
        assert_eq!(entries("[1,2,3]", usize::MAX), ["1", "2", "3"]);
    }

    #[test]
    fn an_object_whose_keys_are_whole_numbers_is_a_list_in_their_order() {
        assert_eq!(
            numbered(r#"{ "10":1, "9":[2], "7":3 , "0":4, "\u0039":"last" }"#),
            Some(vec!["4", "3", r#""last""#, "1"])
        );
        let long = format!(r#"{{"{}":1,"{}":2}}"#, "9".repeat(400), "8".repeat(400));
        assert_eq!(numbered(&long), Some(vec!["2", "1"]));
        for other in [
            "{}",
            r#"{"a":1}"#,
            r#"{"0":1,"a":2}"#,
            r#"{"":1}"#,
            r#"{"-1":1}"#,
            r#"{"1.0":1}"#,
        ] {
            assert_eq!(numbered(other), None, "{other}");
        }
    }

    #[test]
    fn an_empty_container_is_seen_through_its_blanks() {
        assert!(is_empty("{}") && is_empty("[ \n]"));
        assert!(!is_empty("[null]") && !is_empty(r#"{"a":1}"#));
    }

    #[test]
    fn what_is_no_json_is_walked_through_without_a_panic() {
        for text in [
            "",
            "{",
            "[",
            "{\"",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":\"\\",
            "[1",
            "[1,",
            "]",
            "}",
            "[}",
            "\"",
        ] {
            let _ = fields(text, ["a"]);
            let _ = entries(text, 9);
            let _ = numbered(text);
            let _ = is_empty(text);
            let _ = value(text);
        }
    }

    #[test]
    fn an_unreadable_key_hides_no_field() {
        let [a, b] = fields(r#"{"a":1,"\ud800":2,"b":3,"a\u0000":4}"#, ["a", "b"]);
        assert_eq!(a, Some("1"));
        assert_eq!(b, Some("3"));
    }

    #[test]
    fn an_empty_text_counts_as_null() {
        assert_eq!(value("\"\""), Value::Null);
        assert_eq!(value("null"), Value::Null);
        assert_eq!(value("\" \""), Value::Text(" ".into()));
    }

    #[test]
    fn a_text_with_a_lone_surrogate_is_bad() {
        assert_eq!(value(r#""a\u0000""#), Value::Text("a\0".into()));
        assert_eq!(value(r#""\ud800""#), Value::BadText);
        assert_eq!(value(r#""\ud83d\ude00""#), Value::Text("😀".into()));
    }

    #[test]
    fn what_we_cannot_hold_is_seen_anywhere() {
        let is_unrepresentable = |element: &str| super::is_unrepresentable(element, &[]);
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(!is_unrepresentable(&deep(127)));
        assert!(is_unrepresentable(&deep(128)));
        assert!(is_unrepresentable(r#"{"x":1e400}"#));
        assert!(is_unrepresentable(r#"{"x":[-1.5E+999]}"#));
        assert!(!is_unrepresentable(
            r#"{"x":1e40,"1e400":"1e400","y":true,"e":1}"#
        ));
        assert!(!is_unrepresentable(&format!(
            r#"{{"x":-{}}}"#,
            "9".repeat(308)
        )));
        assert!(is_unrepresentable(&format!(
            r#"{{"x":-{}}}"#,
            "9".repeat(309)
        )));
        assert!(is_unrepresentable(&format!(
            r#"{{"x":{}.5}}"#,
            "9".repeat(309)
        )));
        assert!(!is_unrepresentable(&format!(
            r#"{{"x":0.{}}}"#,
            "9".repeat(400)
        )));
        assert!(!is_unrepresentable(r#"{"x":1e-400,"y":[0e400]}"#));
        assert!(is_unrepresentable(r#"{"x":"\ud800"}"#));
        assert!(is_unrepresentable(r#"{"x":"\ud800\n"}"#));
        assert!(is_unrepresentable(r#"{"\udc00":1}"#));
        assert!(!is_unrepresentable(
            r#"{"x":"\ud83d\ude00 \\ud800 \" [[["}"#
        ));
        assert!(!is_unrepresentable(&format!(
            r#"{{"x":"{}"}}"#,
            "[".repeat(500)
        )));
    }

    #[test]
    fn what_has_a_fault_of_its_own_is_not_held_against_the_whole() {
        let element = r#"{"a":1e400,"b":"\ud800","c":[[1e400]]}"#;
        let range = |part: &str| {
            let start = element.find(part).expect("a part");
            start..start + part.len()
        };
        let (a, b, c) = (range("1e400"), range(r#""\ud800""#), range("[[1e400]]"));
        assert!(!is_unrepresentable(
            element,
            &[a.clone(), b.clone(), c.clone()]
        ));
        assert!(is_unrepresentable(element, &[b.clone(), c.clone()]));
        assert!(is_unrepresentable(element, &[a.clone(), c]));
        assert!(is_unrepresentable(element, &[a, b]));
    }
}
