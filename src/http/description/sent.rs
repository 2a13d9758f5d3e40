//! The order as it is sent (contract §3).

use serde_json::Value;
use utoipa::openapi::{
    ArrayBuilder, ComponentsBuilder, KnownFormat, ObjectBuilder, SchemaFormat,
    schema::{SchemaType, Type},
};

use super::schema::{Any, both, list, named, sent, value};
use crate::{
    config::Limits,
    order::fields::{self, Both, Field, Kind},
};

/// How a moment begins.
const MOMENT: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}";

/// Everything that is sent: the document's own form, and in words what else is read.
pub fn schemas(components: ComponentsBuilder, limits: &Limits) -> ComponentsBuilder {
    let batch = list(
        Type::Array.into(),
        named(fields::ORDER.name),
        (0, limits.batch_orders),
        ("Пакет заказов", "A batch of orders"),
    );
    let objects = fields::objects().into_iter();
    objects.fold(
        components.schema("Batch", batch),
        |components, (name, about, fields)| {
            let fields = fields
                .iter()
                .map(|field| (field.name, field.is_required, sent_field(field, limits)));
            components.schema(name, sent(about, fields))
        },
    )
}

fn sent_field(field: &Field, limits: &Limits) -> Any {
    let about = match also_read(field.kind) {
        Some((ru, en)) => format!("{}. {ru}\n\n{}. {en}", field.about.0, field.about.1),
        None => both(field.about),
    };
    // `null` and `""` clear an optional field.
    let null = (!field.is_required).then_some(Type::Null);
    let least = field.is_required.then_some(1);
    let types =
        |types: &[Type]| -> SchemaType { types.iter().cloned().chain(null.clone()).collect() };
    let object = |allowed: &[Type]| {
        let object = ObjectBuilder::new().schema_type(types(allowed));
        object.description(Some(about.clone()))
    };
    let text = |longest| {
        let text = object(&[Type::String]).min_length(least);
        text.max_length(Some(longest)).into()
    };
    let list = |items: Any, most| {
        ArrayBuilder::new()
            .schema_type(types(&[Type::Array]))
            .items(items)
            .min_items(least)
            .max_items(Some(most))
            .description(Some(about.clone()))
            .into()
    };
    match field.kind {
        Kind::Identity | Kind::Id => text(fields::LONGEST_ID),
        Kind::Text(usual) => text(usual),
        Kind::OurNumber => integer(object(&[Type::Integer]), 1, i64::from(i32::MAX)),
        Kind::Integer(least, most) => integer(object(&[Type::Integer]), least, most),
        Kind::Amount(whole_digits) => {
            let most = 10_f64.powi(whole_digits.cast_signed()) - 0.01;
            let amount = object(&[Type::Number]).minimum(Some(0));
            amount.maximum(Some(most)).into()
        }
        Kind::Flag => object(&[Type::Boolean]).into(),
        Kind::Checkout => {
            let checkout = object(&[Type::String, Type::Boolean]);
            checkout.max_length(Some(fields::LONGEST_ID)).into()
        }
        Kind::Moment => object(&[Type::String]).pattern(Some(MOMENT)).into(),
        Kind::Phone => object(&[Type::String]).into(),
        Kind::Phones => {
            let phone = value(&[Type::String], ("Телефон", "Phone"));
            list(phone, limits.client_addresses)
        }
        Kind::OneOf(words) => {
            let words = words.split(", ").map(Value::from);
            let null = null.as_ref().map(|_| Value::Null);
            let word = object(&[Type::String]);
            word.enum_values(Some(words.chain(null))).into()
        }
        Kind::Object(name) => named(name),
        Kind::List(name) if name == fields::ORDER_ITEM.name => {
            list(named(name), limits.order_items)
        }
        Kind::List(name) => list(named(name), limits.client_addresses),
    }
}

fn integer(integer: ObjectBuilder, least: i64, most: i64) -> Any {
    if (least, most) == (i64::MIN, i64::MAX) {
        let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
        return integer.format(Some(format)).into();
    }
    integer.minimum(Some(least)).maximum(Some(most)).into()
}

/// What is read of a kind besides the document's own form (contract §3).
fn also_read(kind: Kind) -> Option<Both> {
    Some(match kind {
        Kind::Identity => (
            "Читается и целое число, пробелы по краям не в счёт; 0 и нулевой GUID — нет id",
            "A whole number is read, too; blanks around it do not count; 0 and the nil GUID are no id",
        ),
        Kind::Id => (
            "Читается и целое число, пробелы по краям не в счёт",
            "A whole number is read, too; blanks around it do not count",
        ),
        Kind::OurNumber => (
            "Читается и строка; что нашим номером быть не может — не учитывается с предупреждением, 0 и нулевой GUID — нет номера",
            "A string is read, too; what can be no number of ours is ignored with a warning; 0 and the nil GUID are no number",
        ),
        Kind::Text(fields::LONGEST_COMMENT) => ("Читается и число", "A number is read, too"),
        Kind::Text(_) => (
            "Читается и число; что длиннее, хранится до 1000 символов, с предупреждением too_long",
            "A number is read, too; what is longer is kept up to 1,000 characters, with the warning too_long",
        ),
        Kind::Amount(_) => (
            "Читается и строка: \"710,00\", \"1 234,56\", \"1,234.56\", \"710 руб.\"; больше двух знаков округляется, с предупреждением rounded",
            "A string is read, too: \"710,00\", \"1 234,56\", \"1,234.56\", \"710 руб.\"; more than two decimals are rounded, with the warning rounded",
        ),
        Kind::Integer(..) => (
            "Читаются и \"2\", 2.0, \"2,000\", \"1 068\"; 1.5 целым не станет",
            "\"2\", 2.0, \"2,000\" and \"1 068\" are read, too; 1.5 is no whole number",
        ),
        Kind::Flag => (
            "Читаются и 1, 0, \"true\", \"yes\", \"да\", \"истина\" и обратные им",
            "1, 0, \"true\", \"yes\", \"да\", \"истина\" and their opposites are read, too",
        ),
        Kind::Moment => (
            "Читаются и +0300, +03, без пояса — местное время публикации, 06.11.2019 11:00, 24:00; 06.11.2019 — его полночь",
            "+0300 and +03 are read, too; without a zone it is the publication's local time; so are 06.11.2019 11:00 and 24:00; 06.11.2019 is its midnight",
        ),
        Kind::Phone | Kind::Phones => (
            "+79191991919, 89191991919, 79191991919, 9191991919 или + и 8–15 цифр; читается и число, пробелы, дефисы, точки, скобки и слова перед номером можно, 810 и 00 — то же, что +; из нескольких номеров — первый, с предупреждением invalid_format",
            "+79191991919, 89191991919, 79191991919, 9191991919 or + and 8 to 15 digits; a number is read, too; blanks, dashes, dots, brackets and words before it may be there, 810 and 00 stand for +; of several the first counts, with the warning invalid_format",
        ),
        Kind::Checkout | Kind::OneOf(_) => return None,
        Kind::Object(_) => (
            "Читается и список из одного объекта",
            "A list of one object is read, too",
        ),
        Kind::List(_) => (
            "Читается и объект, все ключи которого — целые числа (так PHP пишет массив с пропусками), и одна запись без списка",
            "An object whose keys are all whole numbers is read, too (PHP writes an array with holes so), and so is one entry without its list",
        ),
    })
}
