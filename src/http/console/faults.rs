//! Faults and warnings of kept orders in words.

use serde_json::Value;

use super::texts::texts;
use crate::{
    order::fault::{Language, usual_message, usual_warning},
    store::console::KeptGroup,
};

/// `Клиент, Телефон: обязательное поле`. The journal keeps messages as they were answered, in Russian, and only those that say more
/// than their code.
pub(super) fn in_words(entry: &Value, language: Language) -> String {
    let field = entry["field"].as_str().unwrap_or_default();
    with_title(field, &message(entry, language), language)
}

/// The same without what it is of.
pub(super) fn message(entry: &Value, language: Language) -> String {
    let part = |name: &str| entry[name].as_str().unwrap_or_default();
    let (field, code) = (part("field"), part("code"));
    match part("message") {
        "" => usual_message(field, code, language).unwrap_or_else(|| code.to_owned()),
        message => message.to_owned(),
    }
}

/// The value that came at a path, as JSON; `None` where there was none.
pub(super) fn came(order: &Value, path: &str) -> Option<String> {
    let mut value = order;
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        value = match step.strip_suffix(']') {
            Some(place) => value.get(place.parse::<usize>().ok()?)?,
            None => value.get(step)?,
        };
    }
    // Of a whole list or object the text beside it tells.
    let is_plain = !path.is_empty() && !value.is_object() && !value.is_array();
    is_plain.then(|| value.to_string())
}

/// What a group of kept orders has in common.
pub(super) fn group_title(group: &KeptGroup, is_remark: bool, language: Language) -> String {
    let (field, code) = (group.field.as_str(), group.code.as_str());
    // What is usually done with such a value was not done with each of them.
    let usual = usual_message(field, code, language);
    let usual = usual.or_else(|| usual_warning(field, code, language).filter(|_| is_remark));
    let text = group.message.clone().or(usual);
    with_title(field, &text.unwrap_or_else(|| code.to_owned()), language)
}

/// What a fault is called, whatever was said of it besides.
pub(super) fn fault_title(field: &str, code: &str, language: Language) -> String {
    let usual = usual_message(field, code, language);
    with_title(field, &usual.unwrap_or_else(|| code.to_owned()), language)
}

fn with_title(field: &str, text: &str, language: Language) -> String {
    if field.is_empty() {
        format!("{}: {text}", texts(language).the_order)
    } else {
        format!("{}: {text}", path_title(field, language))
    }
}

/// The words for a path as the journal has it: `total`, `shipping_address.house`, `order_item_list[0].price`.
pub(super) fn path_title(path: &str, language: Language) -> String {
    let t = texts(language);
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    // Of any line, or one of several phones.
    let name = name.split_once('[').map_or(name, |(list, _)| list);
    match (line_of(parent), line_of(path)) {
        (Some(line), _) => format!("{} {line}, {}", t.line, t.field(name)),
        (None, Some(line)) => format!("{} {line}", t.line),
        (None, None) => t.field(name).to_owned(),
    }
}

/// The place of a line, from 1.
fn line_of(path: &str) -> Option<usize> {
    let place = path.strip_prefix("order_item_list[")?.strip_suffix(']')?;
    place.parse::<usize>().ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_is_told_with_its_message_or_the_usual_one_of_its_code() {
        let told = |entry: Value| in_words(&entry, Language::Ru);
        let total = json!({ "field": "total", "code": "required" });
        assert_eq!(told(total), "Сумма: обязательное поле");
        let price = json!({ "field": "order_item_list[1].price", "code": "out_of_range", "message": "много" });
        assert_eq!(told(price), "Строка 2, Цена: много");
        let other = json!({ "field": "", "code": "no_such_code" });
        assert_eq!(told(other), "Заказ: no_such_code");
        let group = |field: &str, code: &str, is_remark| {
            let group = KeptGroup {
                code: code.to_owned(),
                field: field.to_owned(),
                message: None,
                orders: 1,
            };
            group_title(&group, is_remark, Language::Ru)
        };
        assert_eq!(
            group("order_item_list[].price", "required", false),
            "Цена: обязательное поле"
        );
        assert_eq!(group("total", "rounded", true), "Сумма: округлено до сотых");
        assert_eq!(
            group("order_item_list[]", "empty", false).split(':').next(),
            Some("Состав")
        );
    }

    #[test]
    fn the_value_that_came_is_told_where_there_was_one() {
        let order = json!({
            "total": "дорого", "client": { "phone": null }, "order_item_list": [{ "price": 1 }, { "price": -5 }],
        });
        let came = |path: &str| came(&order, path);
        assert_eq!(came("total").as_deref(), Some("\"дорого\""));
        assert_eq!(came("client.phone").as_deref(), Some("null"));
        assert_eq!(came("order_item_list[1].price").as_deref(), Some("-5"));
        for none in [
            "",
            "client",
            "client.email",
            "order_item_list[2].price",
            "order_item_list[x",
        ] {
            assert_eq!(came(none), None, "{none}");
        }
    }
}
