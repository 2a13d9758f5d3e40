//! Short ways to write schemas, of what is sent and of what is answered.

use serde_json::Value;
use utoipa::openapi::{
    ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema,
    schema::{AdditionalProperties, SchemaType, Type},
};

use crate::order::fields::Both;

/// Any schema.
pub type Any = RefOr<Schema>;

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

fn of(types: SchemaType, about: Both) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(types)
        .description(Some(both(about)))
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
