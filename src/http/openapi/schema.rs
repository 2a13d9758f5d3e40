//! Schemas, written short: what a field of a sent order may be, and what a field of an answer is.

use serde_json::{Value, json};
use utoipa::openapi::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat,
    schema::{AdditionalProperties, SchemaType, Type},
};

/// A text in Russian and in English.
pub type Both = (&'static str, &'static str);
/// Any schema.
pub type Any = RefOr<Schema>;

/// As PHP and 1C write an amount, a whole number, and one that may be below zero, into a string.
const AMOUNT: &str = r"\+?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?";
const WHOLE: &str = r"\+?[0-9]+(\.0+)?([eE]\+?[0-9]+)?";
const SIGNED: &str = r"[+-]?[0-9]+(\.0+)?([eE]\+?[0-9]+)?";
/// How a moment begins.
const MOMENT: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}";

/// Russian first, English below.
pub fn both((ru, en): Both) -> String {
    format!("{ru}\n\n{en}")
}

/// Must a field come with a value?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    /// `null` and `""` clear it.
    Optional,
}

impl Need {
    fn types(self, types: &[Type]) -> SchemaType {
        let null = (self == Self::Optional).then_some(Type::Null);
        types.iter().cloned().chain(null).collect()
    }

    /// The whole text is so, or empty where that may be.
    fn pattern(self, text: &str) -> String {
        match self {
            Self::Required => format!("^{text}$"),
            Self::Optional => format!("^({text})?$"),
        }
    }

    /// `""` is nothing.
    fn least(self) -> Option<usize> {
        (self == Self::Required).then_some(1)
    }
}

pub use Need::{Optional, Required};

fn of(types: SchemaType, about: Both) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(types)
        .description(Some(both(about)))
}

/// A text of at most so many characters.
pub fn text(need: Need, longest: Option<usize>, about: Both) -> Any {
    of(need.types(&[Type::String]), about)
        .min_length(need.least())
        .max_length(longest)
        .into()
}

/// A sender's id: a text, or a whole number for one.
pub fn id(need: Need, about: Both) -> Any {
    of(need.types(&[Type::String, Type::Integer]), about)
        .min_length(need.least())
        .max_length(Some(255))
        .into()
}

/// One of our numbers; a text that cannot be one is ignored with a warning.
pub fn number(about: Both) -> Any {
    of(Optional.types(&[Type::Integer, Type::String]), about).into()
}

/// One of our numbers, where a text must look like one.
pub fn numeric(about: Both) -> Any {
    of(Optional.types(&[Type::Integer, Type::String]), about)
        .pattern(Some(Optional.pattern(SIGNED)))
        .into()
}

/// Roubles, from 0 to this.
pub fn amount(need: Need, most: f64, about: Both) -> Any {
    of(need.types(&[Type::Number, Type::String]), about)
        .minimum(Some(0))
        .maximum(Some(most))
        .pattern(Some(need.pattern(AMOUNT)))
        .into()
}

/// A whole number from this to the largest that 32 bits hold.
pub fn count(need: Need, least: i32, about: Both) -> Any {
    of(need.types(&[Type::Integer, Type::String]), about)
        .minimum(Some(least))
        .maximum(Some(i32::MAX))
        .pattern(Some(need.pattern(WHOLE)))
        .into()
}

/// A whole number of 64 bits.
pub fn long(about: Both) -> Any {
    of(Optional.types(&[Type::Integer, Type::String]), about)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .pattern(Some(Optional.pattern(SIGNED)))
        .into()
}

/// Yes or no, as PHP and 1C say it.
pub fn flag(about: Both) -> Any {
    let values = json!([true, false, 1, 0, "true", "false", "1", "0", "", null]);
    of(
        Optional.types(&[Type::Boolean, Type::Integer, Type::String]),
        about,
    )
    .enum_values(values.as_array().cloned())
    .into()
}

/// One of these words, a list with commas.
pub fn one_of(need: Need, words: &str, about: Both) -> Any {
    let mut values: Vec<Value> = words.split(", ").map(Value::from).collect();
    if need == Optional {
        values.extend([json!(""), Value::Null]);
    }
    of(need.types(&[Type::String]), about)
        .enum_values(Some(values))
        .into()
}

/// A moment, with a zone or in the publication's own time.
pub fn moment(need: Need, about: Both) -> Any {
    let pattern = match need {
        Required => MOMENT.to_owned(),
        Optional => format!("{MOMENT}|^(0000-00-00.*)?$"),
    };
    of(need.types(&[Type::String]), about)
        .pattern(Some(pattern))
        .into()
}

/// A phone, also as a number.
pub fn phone(about: Both) -> Any {
    of(Optional.types(&[Type::String, Type::Integer]), about).into()
}

/// `ask_for_checkout`.
pub fn checkout(about: Both) -> Any {
    of(
        Optional.types(&[Type::String, Type::Boolean, Type::Integer]),
        about,
    )
    .max_length(Some(255))
    .into()
}

/// A list of at least and at most so many.
pub fn list(types: SchemaType, items: impl Into<Any>, bounds: (usize, usize), about: Both) -> Any {
    ArrayBuilder::new()
        .schema_type(types)
        .items(items.into())
        .min_items((bounds.0 > 0).then_some(bounds.0))
        .max_items((bounds.1 < usize::MAX).then_some(bounds.1))
        .description(Some(both(about)))
        .into()
}

/// A list that must come, or need not.
pub fn sent_list(need: Need, items: impl Into<Any>, most: usize, about: Both) -> Any {
    list(
        need.types(&[Type::Array]),
        items,
        (need.least().unwrap_or(0), most),
        about,
    )
}

/// The schema of that name.
pub fn named(name: &str) -> Any {
    Ref::from_schema_name(name).into()
}

/// The schema of that name, with a description of its own.
pub fn described(name: &str, about: Both) -> Any {
    utoipa::openapi::schema::RefBuilder::new()
        .ref_location_from_schema_name(name)
        .description(Some(both(about)))
        .into()
}

/// A value of an answer, of these types.
pub fn value<const N: usize>(types: [Type; N], about: Both) -> Any {
    of(types.into_iter().collect(), about).into()
}

/// A moment of an answer.
pub fn local_moment(about: Both) -> Any {
    of(Type::String.into(), about)
        .pattern(Some(
            "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$",
        ))
        .into()
}

/// One of these words, of an answer.
pub fn word(words: impl IntoIterator<Item = impl Into<Value>>, about: Both) -> ObjectBuilder {
    of(Type::String.into(), about).enum_values(Some(words))
}

/// Always this.
pub fn always(what: bool) -> Any {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .enum_values(Some([what]))
        .into()
}

/// A list without entries.
pub fn no_entries(about: Both) -> Any {
    ArrayBuilder::new()
        .items(utoipa::openapi::schema::ArrayItems::False)
        .max_items(Some(0))
        .description(Some(both(about)))
        .into()
}

/// A sent object: fields that are not named are ignored.
pub fn sent<const N: usize>(about: Both, fields: [(&str, Need, Any); N]) -> Any {
    let mut object = of(Type::Object.into(), about);
    for (name, need, schema) in fields {
        object = object.property(name, schema);
        if need == Required {
            object = object.required(name);
        }
    }
    object.into()
}

/// An answered object: every key, always, and no other.
pub fn answered<const N: usize>(about: Both, fields: [(&str, Any); N]) -> ObjectBuilder {
    let mut object = of(Type::Object.into(), about)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    for (name, schema) in fields {
        object = object.property(name, schema).required(name);
    }
    object
}

/// An answered object that has such a value under any key.
pub fn map(about: Both, of_what: Any) -> Any {
    of(Type::Object.into(), about)
        .additional_properties(Some(of_what))
        .into()
}
