//! JSON Schema in short: of what is sent and of what is answered.

use serde::{Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use crate::order::fields::Both;

/// JSON with its keys in the order in which they are written. In a [`Value`] they would have the alphabet's.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Json {
    Value(Value),
    /// As it is written elsewhere.
    Verbatim(Box<RawValue>),
    List(Vec<Self>),
    #[serde(serialize_with = "as_object")]
    Object(Vec<(String, Self)>),
}

fn as_object<S: Serializer>(fields: &[(String, Json)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

pub fn json(value: impl Into<Value>) -> Json {
    Json::Value(value.into())
}

pub fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, Json)>) -> Json {
    let fields = fields.into_iter();
    Json::Object(fields.map(|(name, value)| (name.into(), value)).collect())
}

impl Json {
    /// With one key more.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.push(name, json(value));
        self
    }

    pub fn push(&mut self, name: &str, value: Self) {
        if let Self::Object(fields) = self {
            fields.push((name.to_owned(), value));
        }
    }
}

/// Russian first, English below.
pub fn both((ru, en): Both) -> String {
    format!("{ru}\n\n{en}")
}

/// The name of a schema whose numbers may be missing in a dry run.
pub fn of_run(name: &str, dry: bool) -> String {
    if dry {
        format!("DryRun{name}")
    } else {
        name.to_owned()
    }
}

/// A value of these types.
pub fn value(types: &[&str], about: Both) -> Json {
    let types = match types {
        [one] => json(*one),
        several => json(several),
    };
    object([("type", types), ("description", json(both(about)))])
}

/// A list of at least and at most so many.
pub fn list(items: Json, (least, most): (usize, usize), about: Both) -> Json {
    let mut list = value(&["array"], about);
    list.push("items", items);
    if least > 0 {
        list = list.with("minItems", least);
    }
    if most < usize::MAX {
        list = list.with("maxItems", most);
    }
    list
}

pub fn no_entries(about: Both) -> Json {
    list(Json::Object(Vec::new()), (0, 0), about)
}

/// The schema of that name.
pub fn named(name: &str) -> Json {
    let at = format!("#/components/schemas/{name}");
    object([("$ref", json(at))])
}

/// The schema of that name, or null.
pub fn or_null(name: &str, about: Both) -> Json {
    let either = vec![named(name), object([("type", json("null"))])];
    object([
        ("oneOf", Json::List(either)),
        ("description", json(both(about))),
    ])
}

/// A moment of a response, or null.
pub fn local_moment(about: Both) -> Json {
    let pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$";
    value(&["string", "null"], about).with("pattern", pattern)
}

/// One of these words, of an answer.
pub fn word<'w>(words: impl IntoIterator<Item = &'w str>, about: Both) -> Json {
    value(&["string"], about).with("enum", words.into_iter().collect::<Vec<_>>())
}

pub fn always(what: bool) -> Json {
    object([("type", json("boolean")), ("enum", json(vec![what]))])
}

/// A sent object: fields that are not named are ignored.
pub fn sent<'f>(about: Both, fields: impl Iterator<Item = (&'f str, bool, Json)>) -> Json {
    let (mut required, mut properties) = (Vec::new(), Vec::new());
    for (name, is_required, schema) in fields {
        properties.push((name, schema));
        required.extend(is_required.then_some(name));
    }
    let mut sent = value(&["object"], about);
    if !required.is_empty() {
        sent = sent.with("required", required);
    }
    if !properties.is_empty() {
        sent.push("properties", object(properties));
    }
    sent
}

/// An answered object: every key, always, and no other.
pub fn answered<'f>(about: Both, fields: impl IntoIterator<Item = (&'f str, Json)>) -> Json {
    let fields = fields.into_iter();
    sent(about, fields.map(|(name, schema)| (name, true, schema)))
        .with("additionalProperties", false)
}

/// An answered object that has such a value under any key.
pub fn map(about: Both, of_what: Json) -> Json {
    let mut map = value(&["object"], about);
    map.push("additionalProperties", of_what);
    map
}
