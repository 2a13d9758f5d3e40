//! Short ways to write schemas, of what is sent and of what is answered.

use serde_json::Value;
use utoipa::openapi::{
    ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, SchemaFormat,
    schema::{AdditionalProperties, SchemaType, Type},
};

use crate::order::fields::Both;

/// Any schema.
pub type Any = RefOr<Schema>;

/// How a moment begins.
const MOMENT: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}";

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

    /// `""` is nothing.
    fn least(self) -> Option<usize> {
        (self == Self::Required).then_some(1)
    }
}

pub use Need::{Optional, Required};

fn of(types: SchemaType, about: Both) -> ObjectBuilder {
    told(types, both(about))
}

fn told(types: SchemaType, about: String) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(types)
        .description(Some(about))
}

/// A text of at most so many characters.
pub fn text(need: Need, longest: usize, about: String) -> Any {
    told(need.types(&[Type::String]), about)
        .min_length(need.least())
        .max_length(Some(longest))
        .into()
}

/// Roubles from 0, with so many digits before the point and two behind it.
pub fn amount(need: Need, whole_digits: u32, about: String) -> Any {
    let most = 10_f64.powi(whole_digits.cast_signed()) - 0.01;
    told(need.types(&[Type::Number]), about)
        .minimum(Some(0))
        .maximum(Some(most))
        .into()
}

/// A whole number from the first to the second.
pub fn integer(need: Need, bounds: (i64, i64), about: String) -> Any {
    let (least, most) = bounds;
    let integer = told(need.types(&[Type::Integer]), about);
    if bounds == (i64::MIN, i64::MAX) {
        let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
        return integer.format(Some(format)).into();
    }
    integer.minimum(Some(least)).maximum(Some(most)).into()
}

/// Yes or no.
pub fn flag(need: Need, about: String) -> Any {
    told(need.types(&[Type::Boolean]), about).into()
}

/// One of these words, a list with commas.
pub fn one_of(need: Need, words: &str, about: String) -> Any {
    let words = words.split(", ").map(Value::from);
    let nothing = (need == Optional).then_some(Value::Null);
    told(need.types(&[Type::String]), about)
        .enum_values(Some(words.chain(nothing)))
        .into()
}

/// A moment, with a zone or in the publication's own time.
pub fn moment(need: Need, about: String) -> Any {
    told(need.types(&[Type::String]), about)
        .pattern(Some(MOMENT))
        .into()
}

/// A phone.
pub fn phone(need: Need, about: String) -> Any {
    told(need.types(&[Type::String]), about).into()
}

/// `ask_for_checkout`.
pub fn checkout(need: Need, longest: usize, about: String) -> Any {
    told(need.types(&[Type::String, Type::Boolean]), about)
        .max_length(Some(longest))
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
pub fn sent_list(need: Need, items: impl Into<Any>, most: usize, about: String) -> Any {
    ArrayBuilder::new()
        .schema_type(need.types(&[Type::Array]))
        .items(items.into())
        .min_items(need.least())
        .max_items(Some(most))
        .description(Some(about))
        .into()
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
pub fn value(types: &[Type], about: Both) -> Any {
    of(types.iter().cloned().collect(), about).into()
}

/// The schema of that name, or null.
pub fn or_null(name: &str, about: Both) -> Any {
    OneOfBuilder::new()
        .item(named(name))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .description(Some(both(about)))
        .into()
}

/// A moment of an answer, of these types.
pub fn local_moment(types: SchemaType, about: Both) -> Any {
    of(types, about)
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
pub fn sent<'f>(about: Both, fields: impl Iterator<Item = (&'f str, bool, Any)>) -> Any {
    let mut object = of(Type::Object.into(), about);
    for (name, is_required, schema) in fields {
        object = object.property(name, schema);
        if is_required {
            object = object.required(name);
        }
    }
    object.into()
}

/// An answered object: every key, always, and no other.
pub fn answered<'f>(
    about: Both,
    fields: impl IntoIterator<Item = (&'f str, Any)>,
) -> ObjectBuilder {
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
