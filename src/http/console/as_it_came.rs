//! What a person reads in the text of an order as it came, however faulty it is.

use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::{
    faults::{in_words, message, path_title},
    search::Wanted,
    shown,
    texts::{Texts, texts},
};
use crate::order::{
    amount, datetime,
    fault::Language,
    patch::{entries, value_at},
    phone::{self, Region},
    raw::{self, Value},
    zone::Zone,
};

/// Phones of one client that are read.
const PHONES: usize = 10;
/// Lines of one order that are shown, and of the others those that are counted.
const LINES: usize = 100;
const MOST_COUNTED: usize = 900;
/// Characters of a value that are shown.
const LONGEST: usize = 500;
/// Digits of a sum before the point, as contract §3 has it.
const SUM_DIGITS: u32 = 10;
/// Digits of a phone by which it is known, whichever country code is in front.
const NATIONAL: usize = 10;
/// Fewer digits may stand in the middle of any phone.
const LOCAL: usize = 7;

/// Whose order it is.
#[derive(Debug, Default)]
pub(super) struct Person {
    pub name: Option<String>,
    /// As they came.
    pub phones: Vec<String>,
}

impl Person {
    /// `order`: JSON.
    pub fn of(order: &str) -> Self {
        let Some(client) = value_at(order, "client") else {
            return Self::default();
        };
        let phone = value_at(client, "phone").and_then(text);
        let listed = value_at(client, "phones").map(phones);
        Self {
            name: value_at(client, "username").and_then(text),
            phones: phone
                .into_iter()
                .chain(listed.unwrap_or_default())
                .collect(),
        }
    }

    /// Whether he may be the one whom somebody looks for.
    pub fn is(&self, wanted: &Wanted, region: Region) -> bool {
        let name = self.name.as_deref().unwrap_or_default().to_lowercase();
        let has_name = (wanted.name.as_deref()).is_some_and(|wanted| name.contains(wanted));
        let has_phone = wanted.phone_end.as_deref().is_some_and(|end| {
            let mut phones = self.phones.iter();
            phones.any(|phone| ends(phone, end, region))
        });
        has_name || has_phone
    }
}

/// Whether a phone has these last digits, from the last to the first; many of them may stand anywhere, for what came may be two phones.
fn ends(phone: &str, end: &str, region: Region) -> bool {
    let of = |text: &str| -> String {
        let digits = text.chars().rev().filter(char::is_ascii_digit);
        digits.collect()
    };
    let digits = of(phone);
    let read = phone::parse(phone, region).map(|read| of(&read.e164));
    let is_long = end.len() >= LOCAL;
    digits.starts_with(end)
        || read.is_some_and(|read| read.starts_with(end))
        || (is_long && digits.contains(end.get(..NATIONAL).unwrap_or(end)))
}

/// A single value as it came; `None`: nothing stands there, or no single one.
pub(super) fn text(written: &str) -> Option<String> {
    let text = match raw::value(written) {
        Value::Text(text) => text.trim().to_owned(),
        Value::Number(_) | Value::Bool(_) => written.to_owned(),
        Value::Null | Value::BadText | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then(|| text.chars().take(LONGEST).collect())
}

/// An order as far as it can be read, each value with what is wrong with it.
#[derive(Debug)]
pub(super) struct Readable {
    pub values: Vec<Read>,
    pub lines: Vec<Line>,
    /// Of the list of lines as a whole.
    pub lines_are_wrong: Option<String>,
    /// Lines that are not shown.
    pub more_lines: usize,
}

/// A value, or several that belong together.
#[derive(Debug)]
pub(super) struct Read {
    pub title: String,
    pub text: String,
    pub wrong: Option<String>,
}

/// A line, likewise.
#[derive(Debug)]
pub(super) struct Line {
    pub product: String,
    pub price: String,
    pub quantity: String,
    pub sum: String,
    pub wrong: Option<String>,
}

/// Reads a value as it came; `None`: there is nothing to read.
type Reader<'r> = &'r dyn Fn(&str) -> Option<String>;

/// Faults or warnings by the values that they are of.
struct Wrong<'e> {
    faults: &'e [&'e Json],
    language: Language,
}

impl Wrong<'_> {
    /// What is wrong at a path, and within it.
    fn at(&self, path: &str) -> Option<String> {
        let of_it = self.faults.iter().filter(|entry| {
            let rest = entry["field"]
                .as_str()
                .and_then(|field| field.strip_prefix(path));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        let told: Vec<String> = of_it
            .map(|entry| match entry["field"].as_str() {
                Some(field) if field == path => message(entry, self.language),
                _ => in_words(entry, self.language),
            })
            .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

impl Readable {
    /// `order`: JSON; `faults`: its faults or warnings.
    pub fn of(order: &str, faults: &[&Json], zone: Zone, language: Language) -> Self {
        let t = texts(language);
        let wrong = Wrong { faults, language };
        let moment = |written: &str| {
            let text = text(written)?;
            let read = datetime::parse(&text, zone);
            Some(read.map_or(text, |moment| shown::moment(moment, zone)))
        };
        let flag = |written: &str| match raw::value(written) {
            Value::Bool(true) => Some(t.yes.to_owned()),
            Value::Bool(false) => Some(t.no.to_owned()),
            _ => text(written),
        };
        let payment = |written: &str| text(written).map(|sent| t.payment_type(&sent).to_owned());
        let sum = |written: &str| money(written, language);
        let address = |written: &str| address(written, t);
        let all_phones = |written: &str| {
            let phones = phones(written);
            (!phones.is_empty()).then(|| phones.join(", "))
        };
        let readers: [(&str, Reader<'_>); 16] = [
            ("client.username", &text),
            ("client.phone", &text),
            ("client.phones", &all_phones),
            ("client.email", &text),
            ("client.comment", &text),
            ("shipping_address", &address),
            ("shipping_date_from", &moment),
            ("shipping_date_to", &moment),
            ("comment", &text),
            ("created_at", &moment),
            ("payment_type", &payment),
            ("payment_status", &flag),
            ("count_of_returned_bottles", &text),
            ("delivery_cost", &sum),
            ("coins", &sum),
            ("total", &sum),
        ];
        let values = readers.into_iter().filter_map(|(path, read)| {
            let text = value_at(order, path).and_then(read);
            let wrong = wrong.at(path);
            (text.is_some() || wrong.is_some()).then(|| Read {
                title: match path {
                    "client.comment" => t.comment_of_client.to_owned(),
                    path => path_title(path, language),
                },
                text: text.map_or_else(
                    || "–".to_owned(),
                    |text| text.chars().take(LONGEST).collect(),
                ),
                wrong,
            })
        });
        let list = value_at(order, "order_item_list").unwrap_or_default();
        let mut listed = entries(list, LINES + MOST_COUNTED);
        listed.truncate(LINES + MOST_COUNTED);
        let lines = listed.iter().take(LINES).enumerate();
        let lines: Vec<Line> = lines
            .map(|(place, entry)| Line::of(place, entry, &wrong))
            .collect();
        Self {
            values: values.collect(),
            lines_are_wrong: (lines.is_empty())
                .then(|| wrong.at("order_item_list"))
                .flatten(),
            more_lines: listed.len() - lines.len(),
            lines,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.lines.is_empty()
    }
}

impl Line {
    fn of(place: usize, entry: &str, wrong: &Wrong<'_>) -> Self {
        let language = wrong.language;
        let value = |name: &str| value_at(entry, name);
        let text_of = |name: &str| value(name).and_then(text);
        let price = value("price").and_then(amount_of);
        let quantity = text_of("quantity");
        let count = quantity
            .as_deref()
            .and_then(|count| count.parse::<u32>().ok());
        let sum = (price.zip(count)).and_then(|(price, count)| price.checked_mul(count.into()));
        Self {
            product: text_of("name")
                .or_else(|| text_of("product_id"))
                .unwrap_or_else(|| "–".to_owned()),
            price: value("price")
                .and_then(|price| money(price, language))
                .unwrap_or_default(),
            quantity: quantity.unwrap_or_default(),
            sum: sum.map_or_else(String::new, |sum| shown::money(sum, language)),
            wrong: wrong.at(&format!("order_item_list[{place}]")),
        }
    }
}

fn amount_of(written: &str) -> Option<Decimal> {
    let read = amount::parse(&text(written)?, SUM_DIGITS).ok()?;
    Some(read.value)
}

/// An amount, as it came where it is none.
fn money(written: &str, language: Language) -> Option<String> {
    let read = amount_of(written).map(|amount| shown::money(amount, language));
    read.or_else(|| text(written))
}

fn phones(list: &str) -> Vec<String> {
    let listed = entries(list, PHONES).into_iter().take(PHONES);
    listed.filter_map(text).collect()
}

/// In one line: as it came in one, or in its parts.
fn address(written: &str, t: &Texts) -> Option<String> {
    let part = |name: &str| value_at(written, name).and_then(text);
    let mut parts: Vec<String> = part("str").into_iter().collect();
    if parts.is_empty() {
        parts.extend(["city", "street", "house"].into_iter().filter_map(part));
    }
    for name in ["entrance", "floor", "room"] {
        let named = |value| format!("{} {value}", t.field(name).to_lowercase());
        parts.extend(part(name).map(named));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(order: &str, typed: &str) -> bool {
        let wanted = Wanted::of(typed, Region::Ru).expect("something");
        Person::of(order).is(&wanted, Region::Ru)
    }

    #[test]
    fn a_person_is_known_by_a_part_of_the_name_or_the_end_of_a_phone_as_it_came() {
        let order = r#"{"client": {"username": " Анна \u041fетрова", "phone": "8 908 328-08-32 доб. 7", "phones": [79112223344, {}, "нет"]}}"#;
        for typed in [
            "анна",
            "Петрова",
            "ПЕТР",
            "анна  петр",
            "0832",
            "+7 (908) 328-08-32",
            "8328083",
            "3344",
            "8 911 222-33-44",
        ] {
            assert!(is(order, typed), "{typed}");
        }
        for typed in ["Сидорова", "2233", "0833", "89083280833"] {
            assert!(!is(order, typed), "{typed}");
        }
        for nothing in ["", "[1]", "{\"client\": []}", "{\"client\": 1}", "no json"] {
            assert!(!is(nothing, "анна") && !is(nothing, "0832"), "{nothing}");
        }
    }

    #[test]
    fn an_order_is_read_as_far_as_it_can_be_and_marked_where_it_is_wrong() {
        let order = r#"{
            "total": "дорого", "coins": -5, "shipping_date_from": "2026-11-27T06:00:00Z", "shipping_date_to": "31.02.2026",
            "payment_type": "cash", "payment_status": true, "client": { "username": "Анна", "phones": ["8 908", 5] },
            "shipping_address": { "city": "С", "street": "К", "house": "1", "floor": 3 },
            "order_item_list": { "1": { "name": "Вода", "price": "355,50", "quantity": 2 }, "7": { "product_id": 8, "price": "?" }, "9": 7 }
        }"#;
        let fault = |field: &str, code: &str| serde_json::json!({ "field": field, "code": code });
        let entries = [
            fault("total", "invalid_format"),
            fault("client.phone", "required"),
            fault("shipping_address.str", "required"),
            fault("order_item_list[1].price", "invalid_format"),
            fault("order_item_list[1].quantity", "required"),
            fault("totals", "required"),
        ];
        let entries: Vec<&Json> = entries.iter().collect();
        let zone = crate::order::zone::zone("Europe/Moscow");
        let read = Readable::of(order, &entries, zone, Language::Ru);
        let told: Vec<String> = read
            .values
            .iter()
            .map(|read| {
                format!(
                    "{}: {} {}",
                    read.title,
                    read.text,
                    read.wrong.as_deref().unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "Имя: Анна ",
                "Телефон: – обязательное поле",
                "Телефоны: 8 908, 5 ",
                "Адрес доставки: С, К, 1, этаж 3 Адрес строкой: обязательное поле",
                "Начало доставки: 27.11.2026 09:00 ",
                "Конец доставки: 31.02.2026 ",
                "Оплата: наличные ",
                "Оплачен: да ",
                "Баллы: -5 ",
                "Сумма: дорого неверный формат",
            ]
        );
        let lines: Vec<String> = read
            .lines
            .iter()
            .map(|line| {
                format!(
                    "{}|{}|{}|{}|{}",
                    line.product,
                    line.price,
                    line.quantity,
                    line.sum,
                    line.wrong.as_deref().unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                "Вода|355,50\u{a0}₽|2|711\u{a0}₽|",
                "8|?|||Строка 2, Цена: неверный формат; Строка 2, Количество: обязательное поле",
                "–||||",
            ]
        );
        assert_eq!(read.more_lines, 0);
        for nothing in ["", "[1]", "7", "no json"] {
            let read = Readable::of(nothing, &[], zone, Language::En);
            assert!(read.values.is_empty() && read.lines.is_empty(), "{nothing}");
        }
    }

    #[test]
    fn of_a_long_list_the_first_lines_are_shown_and_the_others_counted() {
        let lines = vec![r#"{"price": 1}"#; LINES + 7].join(",");
        let order = format!(r#"{{"order_item_list": [{lines}]}}"#);
        let zone = crate::order::zone::zone("UTC");
        let read = Readable::of(&order, &[], zone, Language::Ru);
        assert_eq!((read.lines.len(), read.more_lines), (LINES, 7));
    }
}
