//! Rows of JSON.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::rows::{Group, Row, Rows, Unreadable, Value, line_at, unknown};
use crate::{
    catalogue::{Subject, Text},
    order::raw,
};

pub(super) fn read(subject: Subject, text: &str) -> Result<Rows, Unreadable> {
    if !text.trim_start().starts_with('[') {
        return Err(Unreadable::NotObjects(1));
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| Unreadable::NotJson(Text::new(error.to_string(), error.to_string())))?;
    let columns = subject.columns();
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
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(part).map_err(|error| {
        Unreadable::NotJson(Text::new(
            format!("объект в строке {line}: {error}"),
            format!("object on line {line}: {error}"),
        ))
    })?;
    let mut cells = BTreeMap::new();
    for (name, raw) in fields {
        if let Some(plain) = plain.iter().find(|plain| **plain == name) {
            cells.insert(*plain, value(raw.get()));
        } else if let Some(found) = groups.iter().find(|known| known.name == name) {
            cells.insert(found.name, group_value(text, raw.get(), found)?);
        } else {
            let all = plain.iter().chain(groups.iter().map(|group| &group.name));
            let place = Text::new(
                format!("ключ в строке {line}"),
                format!("key on line {line}"),
            );
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
