//! An order's JSON with one value changed: whatever else stands in it stays as it was written.
//!
//! Paths are those of faults (`client.phone`, `order_item_list[0].price`), and lead where the reader ([`super::wire`]) finds the
//! value. All texts here were read as JSON before.

use super::raw;

enum Step<'p> {
    Key(&'p str),
    /// A place in a list.
    Place(usize),
}

fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    parts
        .map(|part| match part.strip_suffix(']') {
            Some(place) => Some(Step::Place(place.parse().ok()?)),
            None => Some(Step::Key(part)),
        })
        .collect()
}

/// The object that a value is, or that stands in it alone: PHP and converters from XML make a list of one object.
fn object(value: &str) -> Option<&str> {
    match value.as_bytes().first()? {
        b'{' => Some(value),
        b'[' => match *raw::entries(value, 1) {
            [one] if one.starts_with('{') => Some(one),
            _ => None,
        },
        _ => None,
    }
}

/// What stands in a container, as written. Of a doubled key the last counts.
fn child<'a>(container: &'a str, step: &Step<'_>) -> Option<&'a str> {
    match step {
        Step::Key(key) => {
            let is_it = |written: &str| raw::string(written).is_some_and(|written| written == *key);
            let members = raw::members(object(container)?);
            let found = members.filter(|(written, _)| is_it(written)).last();
            found.map(|(_, value)| value)
        }
        Step::Place(place) => entries(container, *place).get(*place).copied(),
    }
}

/// What stands in a list, as written; of an array the first `most` and one more.
#[must_use]
pub fn entries(list: &str, most: usize) -> Vec<&str> {
    match list.as_bytes().first() {
        Some(b'[') => raw::entries(list, most),
        // One entry where a list of them is due.
        Some(b'{') => raw::numbered(list).unwrap_or_else(|| vec![list]),
        _ => Vec::new(),
    }
}

/// What stands at the path, as written; `None`: nothing does.
#[must_use]
pub fn value_at<'a>(order: &'a str, path: &str) -> Option<&'a str> {
    let mut steps = steps(path)?.into_iter();
    steps.try_fold(order.trim(), |value, step| child(value, &step))
}

/// The order with that value, which is JSON, at the path. Where its key is missing it is added. `None`: there is nothing in which it
/// could stand.
#[must_use]
pub fn with_value(order: &str, path: &str, value: &str) -> Option<String> {
    let steps = steps(path)?;
    let (last, parents) = steps.split_last()?;
    let parent = parents.iter().try_fold(order.trim(), child)?;
    if let Some(old) = child(parent, last) {
        let begin = offset(old, order);
        return Some(spliced(order, begin, begin + old.len(), value));
    }
    let Step::Key(key) = last else {
        return None;
    };
    let parent = object(parent)?;
    let key = serde_json::to_string(key).ok()?;
    let (at, added) = match raw::members(parent).last() {
        Some((_, behind)) => {
            // Laid out as the first key is.
            let inside = parent.get(1..)?;
            let space = inside.get(..inside.find('"')?)?;
            let end = offset(behind, order) + behind.len();
            (end, format!(",{space}{key}: {value}"))
        }
        None => (offset(parent, order) + 1, format!("{key}: {value}")),
    };
    Some(spliced(order, at, at, &added))
}

/// Where a part of the text begins in it.
fn offset(part: &str, text: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

fn spliced(text: &str, begin: usize, end: usize, with: &str) -> String {
    let (before, behind) = (&text[..begin], &text[end..]);
    [before, with, behind].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_changes_and_all_else_stays_as_it_was_written() {
        for (order, path, due) in [
            // Order of keys, unknown keys, the writing of numbers and texts, white space.
            (
                "{ \"z\":1.50,\r\n\t\"total\" : -1e0 ,\"\\u0061\":[1,{}],\"note\":\"\\u0416\\\"}\"}",
                "total",
                "{ \"z\":1.50,\r\n\t\"total\" : 7 ,\"\\u0061\":[1,{}],\"note\":\"\\u0416\\\"}\"}",
            ),
            (
                r#"{"client":{"phone":null},"phone":1}"#,
                "client.phone",
                r#"{"client":{"phone":7},"phone":1}"#,
            ),
            (
                r#"{"order_item_list":[{"price":1},{"price":[2]}]}"#,
                "order_item_list[1].price",
                r#"{"order_item_list":[{"price":1},{"price":7}]}"#,
            ),
            (
                r#"{"client":{"phones":["a","b"]}}"#,
                "client.phones[1]",
                r#"{"client":{"phones":["a",7]}}"#,
            ),
            // As the reader reads them: of a doubled key the last, lists with holes, one entry, a list of one object.
            (
                r#"{"total":1,"tot\u0061l":2}"#,
                "total",
                r#"{"total":1,"tot\u0061l":7}"#,
            ),
            (
                r#"{"order_item_list":{"5":{"price":5},"2":{"price":2}}}"#,
                "order_item_list[0].price",
                r#"{"order_item_list":{"5":{"price":5},"2":{"price":7}}}"#,
            ),
            (
                r#"{"order_item_list":{"price":1}}"#,
                "order_item_list[0].price",
                r#"{"order_item_list":{"price":7}}"#,
            ),
            (
                r#"{"client":[{"phone":1}]}"#,
                "client.phone",
                r#"{"client":[{"phone":7}]}"#,
            ),
        ] {
            assert_eq!(with_value(order, path, "7").as_deref(), Some(due), "{path}");
            let value = value_at(due, path);
            assert_eq!(value, Some("7"), "{path}");
        }
    }

    #[test]
    fn a_key_that_is_missing_is_added_behind_the_others() {
        for (order, path, due) in [
            ("{}", "total", r#"{"total": 7}"#),
            (" {\n} ", "total", " {\"total\": 7\n} "),
            (r#"{"a":1}"#, "total", r#"{"a":1,"total": 7}"#),
            (
                "{\n  \"client\": {\n    \"id\": \"1\"\n  },\n  \"a\": [\"}\"]\n}",
                "client.phone",
                "{\n  \"client\": {\n    \"id\": \"1\",\n    \"phone\": 7\n  },\n  \"a\": [\"}\"]\n}",
            ),
            (
                r#"{"shipping_address":[{ }]}"#,
                "shipping_address.city",
                r#"{"shipping_address":[{"city": 7 }]}"#,
            ),
        ] {
            assert_eq!(value_at(order, path), None, "{path}");
            assert_eq!(with_value(order, path, "7").as_deref(), Some(due), "{path}");
        }
    }

    #[test]
    fn where_nothing_could_hold_it_nothing_is_changed() {
        for (order, path) in [
            (r#"{"a":1}"#, "client.phone"),
            (r#"{"client":"Anna"}"#, "client.phone"),
            (r#"{"client":[]}"#, "client.phone"),
            (r#"{"client":[{},{}]}"#, "client.phone"),
            (r#"{"order_item_list":[]}"#, "order_item_list[0].price"),
            (r#"{"order_item_list":7}"#, "order_item_list[0].price"),
            (r#"{"client":{"phones":["a"]}}"#, "client.phones[1]"),
            (r#"{"a":1}"#, "order_item_list[x].price"),
            ("7", "total"),
            ("\"text\"", "total"),
        ] {
            assert_eq!(value_at(order, path), None, "{order} {path}");
            assert_eq!(with_value(order, path, "7"), None, "{order} {path}");
        }
        assert_eq!(with_value("{}", "", "7"), None);
    }
}
