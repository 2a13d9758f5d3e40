//! The values of a kept order that faults name, each in a field of its own: whoever corrects one need not read JSON. What is sent is the
//! text in JSON; what was written into the fields goes into it first.

use std::borrow::Cow;

use serde_json::{Value as Json, value::RawValue};

use super::{
    escape::without_misleading,
    texts::{Texts, texts},
};
use crate::order::{
    Rules, datetime,
    fault::Language,
    fields::{KEPT_TEXT, Kind, kind_at},
    model::{ClientType, Status},
    patch::{value_at, with_value},
    raw::{self, Value},
};

/// Fields of a page; what is wrong besides is corrected in the text.
const MOST: usize = 40;

/// What a field is called in the form, in front of its path; and what the value is that it was shown with.
pub(super) const SET: &str = "set:";
pub(super) const WAS: &str = "was:";

/// A field as it is shown.
#[derive(Debug)]
pub(super) struct Input {
    /// Of its element in the page.
    pub id: String,
    pub path: String,
    pub value: String,
    /// The text has that value: who leaves it alone changes nothing.
    pub was: String,
    /// `type` and `inputmode`. Numbers are lines of text: a browser drops what is none from a field for numbers, and says nothing.
    pub kind: &'static str,
    pub mode: &'static str,
    /// What may be chosen; none: it is no closed list.
    pub choices: Vec<Choice>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub value: String,
    pub title: String,
}

impl Input {
    /// The names of it, and of the value that it was shown with.
    pub fn set(&self) -> String {
        format!("{SET}{}", self.path)
    }

    pub fn unchanged(&self) -> String {
        format!("{WAS}{}", self.path)
    }

    /// Of the value at a path of an order, which is JSON. `None`: it is no single one, or too long for a line.
    pub fn of(order: &str, path: &str, rules: &Rules, language: Language) -> Option<Self> {
        let field = kind_at(path).filter(is_single)?;
        let text = line(order, path)?;
        let choices = choices(field, path, rules, texts(language));
        let (kind, mode) = match field {
            Kind::Phone | Kind::Phones => ("tel", ""),
            Kind::Amount(_) => ("text", "decimal"),
            Kind::Integer(..) | Kind::OurNumber => ("text", "numeric"),
            Kind::Moment => ("datetime-local", ""),
            _ => ("text", ""),
        };
        // What a browser cannot show there it sends back as nothing.
        let value = if field == Kind::Moment {
            let moment = datetime::parse(&text, rules.timezone).ok();
            let local = moment.map(|moment| rules.timezone.local(moment));
            local.map(|local| local.format("%Y-%m-%dT%H:%M").to_string())
        } else {
            let is_known = choices.is_empty() || choices.iter().any(|choice| choice.value == text);
            is_known.then_some(text)
        };
        let value = value.unwrap_or_default();
        Some(Self {
            id: String::new(),
            path: path.to_owned(),
            was: value.clone(),
            value,
            kind,
            mode,
            choices,
        })
    }
}

fn is_single(kind: &Kind) -> bool {
    !matches!(kind, Kind::Object(_) | Kind::List(_))
}

/// A value as one line of text; empty where it is missing and may be added.
fn line(order: &str, path: &str) -> Option<String> {
    let Some(written) = value_at(order, path) else {
        return with_value(order, path, "0").map(|_| String::new());
    };
    let text: Cow<'_, str> = match raw::value(written) {
        Value::Null | Value::BadText => "".into(),
        Value::Bool(_) | Value::Number(_) => written.into(),
        Value::Text(text) => text,
        Value::Array(_) | Value::Object(_) => return None,
    };
    let is_line = !text.contains(['\n', '\r']) && text.chars().count() <= KEPT_TEXT;
    is_line.then(|| without_misleading(&text))
}

/// What may be chosen where that is a closed list.
fn choices(kind: Kind, path: &str, rules: &Rules, t: &Texts) -> Vec<Choice> {
    let titled = |value: &str| {
        let title = match kind {
            Kind::Flag if value == "true" => t.yes,
            Kind::Flag => t.no,
            Kind::OneOf(_) => match (Status::parse(value), ClientType::parse(value)) {
                (Some(status), _) => t.status(status),
                (None, Some(ClientType::Jur)) => t.company,
                (None, Some(ClientType::Fiz)) => t.person,
                (None, None) => value,
            },
            _ => t.payment_type(value),
        };
        Choice {
            value: value.to_owned(),
            title: title.to_owned(),
        }
    };
    match (kind, &rules.payment_types) {
        (Kind::Flag, _) => ["true", "false"].map(titled).into(),
        (Kind::OneOf(words), _) => words.split(", ").map(titled).collect(),
        (_, Some(known)) if path == "payment_type" => {
            known.iter().map(|known| titled(known)).collect()
        }
        _ => Vec::new(),
    }
}

/// What somebody wrote on the page of a kept order.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The text in JSON.
    pub order: String,
    pub action: String,
    /// The versions that it may write over.
    pub over: String,
    fields: Vec<Field>,
    /// Whether the text has what he wrote into them.
    is_taken: bool,
}

/// What he left in a field.
#[derive(Debug)]
struct Field {
    path: String,
    value: String,
    was: String,
}

impl Written {
    /// Of the names and values of the form.
    pub fn of(form: Vec<(String, String)>) -> Self {
        let mut written = Self::default();
        let mut were = Vec::new();
        for (name, value) in form {
            let line = |value: &str| without_misleading(value.trim());
            match &*name {
                "order" => written.order = value,
                "action" => written.action = value,
                "over" => written.over = value,
                _ => {
                    let is_of_ours =
                        |path: &&str| kind_at(path).is_some_and(|kind| is_single(&kind));
                    if let Some(path) = name.strip_prefix(SET).filter(is_of_ours) {
                        written.fields.push(Field {
                            path: path.to_owned(),
                            value: line(&value),
                            was: String::new(),
                        });
                    } else if let Some(path) = name.strip_prefix(WAS) {
                        were.push((path.to_owned(), line(&value)));
                    }
                }
            }
        }
        written.fields.truncate(MOST);
        for field in &mut written.fields {
            if let Some(at) = were.iter().position(|(path, _)| *path == field.path) {
                field.was = were.swap_remove(at).1;
            }
        }
        written
    }

    /// The order, which is JSON, with what he wrote into fields; or the path of what the order has no place for.
    pub fn applied_to(&self, order: &str) -> Result<String, &str> {
        let mut fields = self.fields.iter().filter(|field| field.value != field.was);
        fields.try_fold(order.to_owned(), |order, field| {
            let value = json(&field.path, &field.value);
            with_value(&order, &field.path, &value).ok_or(field.path.as_str())
        })
    }

    /// The text is that one now, with all of it.
    pub fn is_taken_by(&mut self, order: String) {
        self.order = order;
        self.is_taken = true;
    }
}

/// Makes the fields of a page, one for each value.
pub(super) struct Inputs<'p> {
    /// The text; `None`: it is no JSON.
    order: Option<&'p str>,
    /// As the order came.
    body: &'p str,
    written: Option<&'p Written>,
    rules: &'p Rules,
    language: Language,
    made: Vec<String>,
}

impl<'p> Inputs<'p> {
    pub fn new(
        order: Option<&'p str>,
        body: &'p str,
        written: Option<&'p Written>,
        rules: &'p Rules,
        language: Language,
    ) -> Self {
        Self {
            order,
            body,
            written,
            rules,
            language,
            made: Vec::new(),
        }
    }

    pub fn has_some(&self) -> bool {
        !self.made.is_empty()
    }

    /// The one for that path; `None`: it can have none, or has one.
    pub fn make(&mut self, path: &str) -> Option<Input> {
        if self.made.len() == MOST || self.made.iter().any(|made| made == path) {
            return None;
        }
        let of = |order: &str| Input::of(order, path, self.rules, self.language);
        let mut input = self.order.and_then(of).or_else(|| of(self.body))?;
        // What the text did not take stays in the field.
        let written = self.written.filter(|written| !written.is_taken);
        let mut fields = written.into_iter().flat_map(|written| &written.fields);
        if let Some(field) = fields.find(|field| field.path == path) {
            input.value.clone_from(&field.value);
            input.was.clone_from(&field.was);
        }
        input.id = format!("field-{}", self.made.len());
        self.made.push(path.to_owned());
        Some(input)
    }

    /// Those that he had before him besides.
    pub fn make_others(&mut self) -> Vec<Input> {
        let fields = self.written.into_iter().flat_map(|written| &written.fields);
        fields.filter_map(|field| self.make(&field.path)).collect()
    }
}

/// What somebody typed, as JSON. What is no number stays a text where one is due: the reader knows more ways to write numbers, and says
/// what it cannot read.
fn json(path: &str, typed: &str) -> String {
    let is_json = match kind_at(path) {
        Some(Kind::Amount(_) | Kind::Integer(..) | Kind::OurNumber) => {
            typed.starts_with(|first: char| first == '-' || first.is_ascii_digit())
                && serde_json::from_str::<&RawValue>(typed).is_ok()
        }
        Some(Kind::Flag) => ["true", "false"].contains(&typed),
        _ => false,
    };
    if is_json {
        typed.to_owned()
    } else {
        Json::from(typed).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(order: &str, path: &str) -> Option<Input> {
        let rules = Rules {
            payment_types: Some(vec!["cash".to_owned(), "barter".to_owned()]),
            ..Rules::with_limits(100, 10)
        };
        Input::of(order, path, &rules, Language::Ru)
    }

    #[test]
    fn a_single_value_has_a_field_of_its_kind() {
        let order = r#"{
            "total": "дорого", "coins": -1.50, "payment_status": "может быть", "status": "lost", "payment_type": "barter",
            "shipping_date_from": "2026-11-27T07:00:59Z", "shipping_date_to": "31.02.2026",
            "client": { "phone": "8 908\u202e", "phones": ["x"], "type": "jur" },
            "order_item_list": [{ "quantity": true, "name": null }], "shipping_address": {}
        }"#;
        for (path, kind, mode, value) in [
            ("total", "text", "decimal", "дорого"),
            ("coins", "text", "decimal", "-1.50"),
            ("client.phone", "tel", "", "8 908"),
            ("client.phones[0]", "tel", "", "x"),
            ("client.email", "text", "", ""),
            ("order_item_list[0].quantity", "text", "numeric", "true"),
            ("order_item_list[0].name", "text", "", ""),
            ("shipping_address.city", "text", "", ""),
            // In the publication's time, and nothing where a browser could not show it.
            (
                "shipping_date_from",
                "datetime-local",
                "",
                "2026-11-27T10:00",
            ),
            ("shipping_date_to", "datetime-local", "", ""),
            ("created_at", "datetime-local", "", ""),
        ] {
            let input = input(order, path).unwrap_or_else(|| panic!("no field for {path}"));
            let shown = (input.kind, input.mode, &*input.value, &*input.was);
            assert_eq!(shown, (kind, mode, value, value), "{path}");
            assert!(input.choices.is_empty(), "{path}");
        }
        for (path, value, titles) in [
            (
                "status",
                "",
                &["Новый", "Принят", "Выполнен", "Отменён"][..],
            ),
            ("payment_status", "", &["да", "нет"]),
            ("payment_type", "barter", &["наличные", "barter"]),
            (
                "client.type",
                "jur",
                &["физическое лицо", "юридическое лицо"],
            ),
        ] {
            let input = input(order, path).unwrap_or_else(|| panic!("no field for {path}"));
            let shown: Vec<&str> = (input.choices.iter())
                .map(|choice| &*choice.title)
                .collect();
            assert_eq!((&*input.value, &*shown), (value, titles), "{path}");
        }
    }

    #[test]
    fn what_is_no_single_line_has_none() {
        let long = "я".repeat(KEPT_TEXT + 1);
        let order = format!(
            r#"{{"client": "Анна", "order_item_list": [], "comment": "a\nb", "coins": [1], "payment_type": {{}}, "id": "{long}"}}"#
        );
        for path in [
            "",
            "client",
            "client.phone",
            "order_item_list",
            "order_item_list[0]",
            "order_item_list[0].price",
            "shipping_address.city",
            "comment",
            "coins",
            "payment_type",
            "id",
            "unknown",
        ] {
            assert!(input(&order, path).is_none(), "{path}");
        }
    }

    fn written(form: &[(&str, &str)]) -> Written {
        let form = form.iter();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Written::of(form.map(owned).collect())
    }

    #[test]
    fn only_what_was_changed_goes_into_the_text_and_a_number_only_where_it_is_one() {
        let order =
            r#"{"total": "дорого", "coins": 1, "client": {"phone": 7}, "payment_status": 2}"#;
        let written = written(&[
            ("set:total", " 355,50 "),
            ("was:total", "дорого"),
            ("set:coins", "1"),
            ("was:coins", "1"),
            ("was:client.phone", "7"),
            ("set:client.phone", "8\u{202e}908"),
            ("set:payment_status", "true"),
            ("set:delivery_cost", "12.50"),
            ("set:count_of_returned_bottles", "две \"штуки\""),
            ("set:client", "1"),
            ("set:nonsense", "1"),
        ]);
        let due = r#"{"total": "355,50", "coins": 1, "client": {"phone": "8908"}, "payment_status": true,"delivery_cost": 12.50,"count_of_returned_bottles": "две \"штуки\""}"#;
        assert_eq!(written.applied_to(order).as_deref(), Ok(due));
        assert_eq!(
            written.applied_to(r#"{"total": 1}"#),
            Err("client.phone"),
            "there is no client"
        );
    }

    #[test]
    fn a_form_with_a_thousand_fields_is_read_to_its_fortieth() {
        let names: Vec<String> = (0..1000)
            .map(|n| format!("set:order_item_list[{n}].price"))
            .collect();
        let form: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "1")).collect();
        assert_eq!(written(&form).fields.len(), MOST);
    }
}
