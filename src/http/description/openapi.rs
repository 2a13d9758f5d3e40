//! The endpoint as an `OpenAPI` 3.1 document, made of the reader's own fields, of the codes and of the limits.

use serde_json::json;
use utoipa::openapi::{
    ComponentsBuilder, HttpMethod, InfoBuilder, ObjectBuilder, OneOfBuilder, OpenApi,
    OpenApiBuilder, PathItem, PathsBuilder, RefOr, Schema,
    extensions::ExtensionsBuilder,
    schema::Type,
    security::{Http, HttpAuthScheme, SecurityScheme},
};

use super::{
    answer::{self, message},
    operation::{Verbatim, operation},
    schema::{always, answered, both, list, map, named, no_entries, of_run, word},
    sent,
};
use crate::{
    config::Limits,
    http::failure::Failure,
    order::{
        fault::{Fault, FaultCode, Hint, Language, Warning, WarningCode},
        fields::Both,
    },
};

/// The document, laid out for reading, with these limits in it. No limit can cause an error, but the library cannot know.
pub fn document(limits: &Limits) -> serde_json::Result<String> {
    let mut verbatim = Verbatim::default();
    let text = build(limits, &mut verbatim).to_pretty_json()?;
    verbatim.fill(text)
}

fn build(limits: &Limits, verbatim: &mut Verbatim) -> OpenApi {
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("AquaDeliveri: приём заказов")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(both((
                    "Сайт или приложение присылает пакет заказов и получает ответ по каждому. Повтор всегда безопасен: \
                     тот же пакет не создаёт новых записей и получает те же номера.",
                    "A site or an app posts a batch of orders and is answered about each. Sending again is always safe: \
                     the same batch makes no new records and is answered with the same numbers.",
                ))))
                .build(),
        )
        .paths(
            PathsBuilder::new().path(
                "/{publication}/hs/AquaDeliveri/getOrdersURL",
                PathItem::new(HttpMethod::Post, operation(limits, verbatim)),
            ),
        )
        .components(Some(components(limits).build()))
        .build()
}

/// A code with what it says, in both languages.
struct Code {
    code: &'static str,
    status: Option<u16>,
    texts: [String; 2],
}

/// The schema of these codes: its description and the extension `x-codes` have their texts.
fn codes(about: Both, codes: &[Code]) -> RefOr<Schema> {
    let lines = codes.iter().map(|Code { code, texts, .. }| {
        let [ru, en] = texts;
        format!("\n- `{code}`: {ru} / {en}")
    });
    let description = both(about) + "\n" + &lines.collect::<String>();
    let list: Vec<_> = codes
        .iter()
        .map(
            |Code {
                 code,
                 status,
                 texts,
             }| {
                let [ru, en] = texts;
                match status {
                    Some(status) => json!({ "code": code, "status": status, "ru": ru, "en": en }),
                    None => json!({ "code": code, "ru": ru, "en": en }),
                }
            },
        )
        .collect();
    let mut names: Vec<_> = codes.iter().map(|code| code.code).collect();
    names.dedup();
    word(names, about)
        .description(Some(description))
        .extensions(Some(ExtensionsBuilder::new().add("x-codes", list).build()))
        .into()
}

const LANGUAGES: [Language; 2] = [Language::Ru, Language::En];

/// What a fault of that code says, also where it is the order's as a whole.
fn texts_of(code: FaultCode) -> [String; 2] {
    LANGUAGES.map(|language| {
        let says = |field: &str| {
            Fault {
                field: field.to_owned(),
                code,
                hint: Hint::None,
            }
            .message(language)
        };
        let (of_a_field, of_the_order) = (says("field"), says(""));
        if of_a_field == of_the_order {
            of_a_field
        } else {
            format!("{of_a_field}; {of_the_order}")
        }
    })
}

fn components(limits: &Limits) -> ComponentsBuilder {
    let faults = FaultCode::ALL.map(|code| Code {
        code: code.as_str(),
        status: None,
        texts: texts_of(code),
    });
    let warnings = WarningCode::ALL.map(|code| Code {
        code: code.as_str(),
        status: None,
        texts: LANGUAGES.map(|language| Warning::new(&"", code).message(language).into_owned()),
    });
    let failures = Failure::all(limits).map(|failure| Code {
        code: failure.code(),
        status: Some(failure.status().as_u16()),
        texts: LANGUAGES.map(|language| failure.message(language).into_owned()),
    });
    let mut components = ComponentsBuilder::new()
        .security_scheme(
            "basic",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)),
        )
        .schema(
            "FaultCode",
            codes(("Ошибки заказа", "Faults of an order"), &faults),
        )
        .schema(
            "WarningCode",
            codes(("Предупреждения", "Warnings"), &warnings),
        )
        .schema(
            "FailureCode",
            codes(
                ("Отказы на запрос целиком", "Failures of a whole request"),
                &failures,
            ),
        )
        .schema("Failure", failure());
    components = sent::schemas(components, limits);
    components = answer::shared_schemas(components);
    for dry in [false, true] {
        components = answer::order_schemas(components, dry);
        components = entries(components, dry);
    }
    components
}

fn failure() -> ObjectBuilder {
    let error = answered(
        ("Причина", "The cause"),
        [
            ("field", word([""], ("Всегда пусто", "Always empty")).into()),
            ("code", named("FailureCode")),
            ("message", message()),
        ],
    );
    answered(
        (
            "Запрос не обработан, из него ничего не сохранено",
            "The request was not processed, nothing of it is stored",
        ),
        [
            ("success", always(false)),
            (
                "data",
                answered(("Всегда пусто", "Always empty"), []).into(),
            ),
            ("message", message()),
            (
                "errors",
                list(
                    Type::Array.into(),
                    error,
                    (1, 1),
                    ("Одна причина", "One cause"),
                ),
            ),
        ],
    )
}

fn entries(components: ComponentsBuilder, dry: bool) -> ComponentsBuilder {
    let of = |name: &str| of_run(name, dry);
    let about = if dry {
        (
            "Ответ проверки: каким он был бы; номера, которых ещё нет, — null",
            "A dry run's answer: what it would be; numbers that are not there yet are null",
        )
    } else {
        ("Ответ на пакет", "The answer to a batch")
    };
    let entry = OneOfBuilder::new()
        .item(named(&of("Accepted")))
        .item(named("Rejected"))
        .description(Some(both((
            "Что стало с заказом",
            "What became of an order",
        ))));
    let components = components
        .schema(
            of("Answer"),
            answered(
                about,
                [
                    ("success", always(true)),
                    (
                        "data",
                        map(
                            (
                                "По id заказа, в порядке первого появления; \"#0\", \"#1\", … — элемент без пригодного id",
                                "By the order's id, in the order of first appearance; \"#0\", \"#1\", …: an element without a usable id",
                            ),
                            named(&of("Entry")),
                        ),
                    ),
                ],
            ),
        )
        .schema(of("Entry"), entry)
        .schema(of("Accepted"), accepted(dry));
    if dry {
        return components;
    }
    components.schema("Rejected", rejected())
}

fn accepted(dry: bool) -> ObjectBuilder {
    answered(
        ("Заказ сохранён", "The order is stored"),
        [
            ("success", always(true)),
            (
                "data",
                list(
                    Type::Array.into(),
                    named(&of_run("AnsweredOrder", dry)),
                    (1, 1),
                    ("Заказ, как он сохранён", "The order as stored"),
                ),
            ),
        ],
    )
    .property(
        "warnings",
        list(
            Type::Array.into(),
            named("Warning"),
            (1, usize::MAX),
            (
                "Есть, когда есть что сказать",
                "There where there is something to say",
            ),
        ),
    )
}

fn rejected() -> ObjectBuilder {
    answered(
        (
            "Заказ не принят; до исправления повторять незачем",
            "The order was not taken; there is no use in sending it again unchanged",
        ),
        [
            ("success", always(false)),
            ("data", no_entries(("Всегда пусто", "Always empty"))),
            ("message", message()),
            (
                "errors",
                list(
                    Type::Array.into(),
                    named("Fault"),
                    (1, usize::MAX),
                    ("Все ошибки заказа", "All faults of the order"),
                ),
            ),
        ],
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::{Config, Environment};

    fn described() -> Value {
        let environment = Environment::default();
        let config = Config::load("config/default.toml".as_ref(), &environment).expect("settings");
        let text = document(&config.limits).expect("a document");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, document: &Value) {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(reference)) = object.get("$ref") {
                        let pointer = reference.strip_prefix('#').expect("inside");
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    object.values().for_each(|value| walk(value, document));
                }
                Value::Array(array) => array.iter().for_each(|value| walk(value, document)),
                _ => {}
            }
        }
        let document = described();
        walk(&document, &document);
    }
}
