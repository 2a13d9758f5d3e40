//! The keys of an object that is a list: PHP writes an array with holes as `{"0":…,"2":…}` (contract §1, §3).

use std::borrow::Cow;

/// A key that is a whole number. Keys are in the order of their numbers; equal keys are the same key, and `1` and `01` are two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListKey<'a> {
    // Compared from the first field to the last: without its zeros in front, the longer number is the larger one.
    length: usize,
    number: Cow<'a, str>,
    zeros: usize,
}

impl<'a> ListKey<'a> {
    /// Reads a key as it is written in JSON, with its quotes. `None` for all that is not digits alone.
    #[must_use]
    pub fn of(quoted: &'a str) -> Option<Self> {
        let inside = quoted.strip_prefix('"')?.strip_suffix('"')?;
        let digits = if inside.contains('\\') {
            Cow::Owned(serde_json::from_str(quoted).ok()?)
        } else {
            Cow::Borrowed(inside)
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let zeros = digits.len() - digits.trim_start_matches('0').len();
        let number = match digits {
            Cow::Borrowed(digits) => Cow::Borrowed(digits.get(zeros..)?),
            Cow::Owned(digits) => Cow::Owned(digits.get(zeros..)?.to_owned()),
        };
        Some(Self {
            length: number.len(),
            number,
            zeros,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_keys_of_a_list_and_nothing_else_is() {
        for key in ["0", "7", "007", "\\u0031", &"9".repeat(1000)] {
            assert!(ListKey::of(&format!("\"{key}\"")).is_some(), "{key}");
        }
        for key in [
            "", " ", "-1", "+1", "1.0", "1e1", "1 ", "a", "1a", "٣", "\\ud800", "\\",
        ] {
            assert_eq!(ListKey::of(&format!("\"{key}\"")), None, "{key}");
        }
        assert_eq!(ListKey::of("1"), None);
        assert_eq!(ListKey::of(""), None);
    }

    #[test]
    fn they_are_in_the_order_of_their_numbers_however_long() {
        let long = format!("\"1{}\"", "0".repeat(100));
        let longer = format!("\"1{}\"", "0".repeat(101));
        let keys = [
            "\"0\"",
            "\"1\"",
            "\"01\"",
            "\"2\"",
            "\"\\u0039\"",
            "\"10\"",
            "\"011\"",
            &long,
            &longer,
        ];
        let keys: Vec<_> = keys.into_iter().map(ListKey::of).collect();
        assert!(
            keys.is_sorted() && keys.iter().all(Option::is_some),
            "{keys:?}"
        );
        assert_eq!(ListKey::of("\"1\""), ListKey::of("\"\\u0031\""));
    }
}
