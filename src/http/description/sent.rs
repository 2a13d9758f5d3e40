//! The order as it is sent (contract §3).

use serde_json::Value;

use super::schema::{Json, both, json, list, named, object, sent, value};
use crate::{
    config::Limits,
    order::fields::{self, Both, Field, Kind},
};

const MOMENT: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}";

/// Everything that is sent: the document's own form, and in words what else is read.
pub fn schemas(limits: &Limits) -> Vec<(String, Json)> {
    let batch = list(
        named(fields::ORDER.name),
        (0, limits.batch_orders),
        ("Пакет заказов", "A batch of orders"),
    );
    let objects = fields::objects().into_iter().map(|(name, about, fields)| {
        let fields = fields
            .iter()
            .map(|field| (field.name, field.is_required, sent_field(field, limits)));
        (name.to_owned(), sent(about, fields))
    });
    objects.chain([("Batch".to_owned(), batch)]).collect()
}

pub fn sent_field(field: &Field, limits: &Limits) -> Json {
    let about = match also_read(field.kind) {
        Some((ru, en)) => format!("{}. {ru}\n\n{}. {en}", field.about.0, field.about.1),
        None => both(field.about),
    };
    // `null` and `""` clear an optional field.
    let null = (!field.is_required).then_some("null");
    let of = |types: &[&'static str]| {
        let types: Vec<_> = types.iter().copied().chain(null).collect();
        object([("type", json(types)), ("description", json(about.clone()))])
    };
    let required = |schema: Json, least: &str| {
        if field.is_required {
            schema.with(least, 1)
        } else {
            schema
        }
    };
    let text = |longest| required(of(&["string"]).with("maxLength", longest), "minLength");
    let list = |items, most| {
        let mut list = of(&["array"]);
        list.push("items", items);
        required(list.with("maxItems", most), "minItems")
    };
    match field.kind {
        Kind::Identity | Kind::Id => text(fields::LONGEST_ID),
        Kind::Text(usual) => text(usual),
        Kind::OurNumber => of(&["integer"])
            .with("minimum", 1)
            .with("maximum", i32::MAX),
        Kind::Integer(i64::MIN, i64::MAX) => of(&["integer"]).with("format", "int64"),
        Kind::Integer(least, most) => of(&["integer"])
            .with("minimum", least)
            .with("maximum", most),
        Kind::Amount(whole_digits) => {
            let most = 10_f64.powi(whole_digits.cast_signed()) - 0.01;
            of(&["number"]).with("minimum", 0).with("maximum", most)
        }
        Kind::Flag => of(&["boolean"]),
        Kind::Checkout => of(&["string", "boolean"]).with("maxLength", fields::LONGEST_ID),
        Kind::Moment => of(&["string"]).with("pattern", MOMENT),
        Kind::Phone => of(&["string"]),
        Kind::Phones => {
            let phone = value(&["string"], ("Телефон", "Phone"));
            list(phone, limits.client_addresses)
        }
        Kind::OneOf(words) => {
            let words = words.split(", ").map(Value::from);
            let null = null.map(|_| Value::Null);
            of(&["string"]).with("enum", words.chain(null).collect::<Vec<_>>())
        }
        Kind::Object(name) => named(name),
        Kind::List(name) if name == fields::ORDER_ITEM.name => {
            list(named(name), limits.order_items)
        }
        Kind::List(name) => list(named(name), limits.client_addresses),
    }
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
