//! The order as it is sent (contract §3).

use utoipa::openapi::{ComponentsBuilder, schema::Type};

use super::schema::{
    Any, Optional, Required, amount, both, checkout, flag, integer, list, moment, named, one_of,
    phone, sent, sent_list, text,
};
use crate::{
    config::Limits,
    order::fields::{self, Both, Field, Kind},
};

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
    let need = if field.is_required {
        Required
    } else {
        Optional
    };
    let about = match also_read(field.kind) {
        Some((ru, en)) => format!("{}. {ru}\n\n{}. {en}", field.about.0, field.about.1),
        None => both(field.about),
    };
    match field.kind {
        Kind::Identity | Kind::Id => text(need, fields::LONGEST_ID, about),
        Kind::OurNumber => integer(need, (1, i64::from(i32::MAX)), about),
        Kind::Text(usual) => text(need, usual, about),
        Kind::Amount(whole_digits) => amount(need, whole_digits, about),
        Kind::Integer(least, most) => integer(need, (least, most), about),
        Kind::Flag => flag(need, about),
        Kind::Checkout => checkout(need, fields::LONGEST_ID, about),
        Kind::Moment => moment(need, about),
        Kind::Phone => phone(need, about),
        Kind::Phones => sent_list(
            need,
            phone(Required, both(("Телефон", "Phone"))),
            limits.client_addresses,
            about,
        ),
        Kind::OneOf(words) => one_of(need, words, about),
        Kind::Object(name) => named(name),
        Kind::List(name) => {
            let most = if name == fields::ORDER_ITEM.name {
                limits.order_items
            } else {
                limits.client_addresses
            };
            sent_list(need, named(name), most, about)
        }
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
            "Читается и строка, с запятой и пробелами между тысячами; больше двух знаков округляется, с предупреждением rounded",
            "A string is read, too, with a comma and with blanks between thousands; more than two decimals are rounded, with the warning rounded",
        ),
        Kind::Integer(..) => (
            "Читаются и \"2\", 2.0, \"2.000\"",
            "\"2\", 2.0 and \"2.000\" are read, too",
        ),
        Kind::Flag => (
            "Читаются и 1, 0, \"true\", \"yes\", \"да\", \"истина\" и обратные им",
            "1, 0, \"true\", \"yes\", \"да\", \"истина\" and their opposites are read, too",
        ),
        Kind::Moment => (
            "Читаются и +0300, +03, без пояса — местное время публикации, 06.11.2019 11:00, 24:00",
            "+0300 and +03 are read, too; without a zone it is the publication's local time; so are 06.11.2019 11:00 and 24:00",
        ),
        Kind::Phone | Kind::Phones => (
            "+79191991919, 89191991919, 79191991919, 9191991919 или + и 8–15 цифр; читается и число, пробелы, дефисы, точки и скобки можно; из нескольких номеров — первый, с предупреждением invalid_format",
            "+79191991919, 89191991919, 79191991919, 9191991919 or + and 8 to 15 digits; a number is read, too; blanks, dashes, dots and brackets may be in it; of several the first counts, with the warning invalid_format",
        ),
        Kind::Checkout | Kind::OneOf(_) | Kind::Object(_) => return None,
        Kind::List(_) => (
            "Читается и объект, все ключи которого — целые числа (так PHP пишет массив с пропусками)",
            "An object whose keys are all whole numbers is read, too (PHP writes an array with holes so)",
        ),
    })
}
