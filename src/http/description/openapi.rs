//! The endpoint as an `OpenAPI` 3.1 document, made of the reader's own fields, of the codes and of the limits.

use std::fmt::Write as _;

use serde_json::json as sorted;

use super::{
    answer::{self, message},
    back_office::{self, EXCHANGE_TAG, REFERENCE_TAG},
    operation::{ORDERS_TAG, operation},
    schema::{
        self, Json, always, answered, both, json, list, map, named, no_entries, object, of_run,
        word,
    },
    sent,
};
use crate::{
    config::Limits,
    http::{failure::Failure, path::ORDERS_ROUTE},
    order::{
        fault::{Fault, FaultCode, Hint, Language, Warning, WarningCode},
        fields::Both,
    },
};

/// The document, laid out for reading, with these limits in it. No limit can cause an error, but the library cannot know.
pub fn document(limits: &Limits) -> serde_json::Result<String> {
    let about = both((
        "Сайт или приложение присылает пакет заказов и получает ответ по каждому. Повтор всегда безопасен: \
         тот же пакет не создаёт новых записей и получает те же номера.",
        "A site or an app posts a batch of orders and is answered about each. Sending again is always safe: \
         the same batch makes no new records and is answered with the same numbers.",
    ));
    let post = object([("post", operation(limits)?)]);
    let mut paths = vec![(ORDERS_ROUTE, post)];
    paths.extend(back_office::paths(limits)?);
    let document = object([
        ("openapi", json("3.1.0")),
        (
            "info",
            object([
                ("title", json("AquaDeliveri: приём заказов")),
                ("description", json(about)),
                ("version", json(env!("CARGO_PKG_VERSION"))),
                (
                    "contact",
                    object([("name", json("The developers of aqua-orders"))]),
                ),
                ("license", license()),
            ]),
        ),
        ("servers", Json::List(vec![server()])),
        ("tags", tags()),
        ("paths", object(paths)),
        ("components", components(limits)),
    ]);
    serde_json::to_string_pretty(&document)
}

fn license() -> Json {
    let name = env!("CARGO_PKG_LICENSE");
    object([("name", json(name)), ("identifier", json(name))])
}

/// Where senders connect, which only the operator knows.
fn server() -> Json {
    let about = both((
        "Адрес, который дал владелец сервиса",
        "The address that the owner of the service gave",
    ));
    let variables = sorted!({
        "scheme": { "default": "https", "enum": ["https", "http"] },
        "host": { "default": "localhost:8888" },
    });
    object([
        ("url", json("{scheme}://{host}")),
        ("description", json(about)),
        ("variables", json(variables)),
    ])
}

fn tags() -> Json {
    let tags = [
        (
            ORDERS_TAG,
            (
                "Сайт и приложение присылают заказы",
                "Sites and apps send orders",
            ),
        ),
        (
            EXCHANGE_TAG,
            (
                "1С забирает заказы и говорит, что с ними стало",
                "1C takes orders and says what became of them",
            ),
        ),
        (
            REFERENCE_TAG,
            ("Данные учётной системы", "The back office's own data"),
        ),
    ];
    let tags = tags
        .map(|(name, about)| object([("name", json(name)), ("description", json(both(about)))]));
    Json::List(tags.into())
}

/// A code with what it says, in both languages.
struct Code {
    code: &'static str,
    status: Option<u16>,
    texts: [String; 2],
}

/// The schema of these codes: its description and the extension `x-codes` have their texts.
fn codes(about: Both, codes: &[Code]) -> Json {
    let mut description = both(about) + "\n";
    let mut list = Vec::new();
    for Code {
        code,
        status,
        texts: [ru, en],
    } in codes
    {
        // Writing to a String cannot fail.
        let _ = write!(description, "\n- `{code}`: {ru} / {en}");
        list.push(match status {
            Some(status) => sorted!({ "code": code, "status": status, "ru": ru, "en": en }),
            None => sorted!({ "code": code, "ru": ru, "en": en }),
        });
    }
    let mut names: Vec<_> = codes.iter().map(|code| code.code).collect();
    names.dedup();
    object([
        ("type", json("string")),
        ("description", json(description)),
        ("enum", json(names)),
        ("x-codes", json(list)),
    ])
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

fn components(limits: &Limits) -> Json {
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
    let named = [
        (
            "FaultCode",
            codes(("Ошибки заказа", "Faults of an order"), &faults),
        ),
        (
            "WarningCode",
            codes(("Предупреждения", "Warnings"), &warnings),
        ),
        (
            "FailureCode",
            codes(
                ("Отказы на запрос целиком", "Failures of a whole request"),
                &failures,
            ),
        ),
        ("Failure", failure()),
        ("Rejected", rejected()),
    ];
    let mut schemas: Vec<_> = named.map(|(name, schema)| (name.to_owned(), schema)).into();
    schemas.extend(sent::schemas(limits));
    schemas.extend(answer::shared_schemas());
    schemas.extend(back_office::schemas(limits));
    for dry in [false, true] {
        schemas.extend(answer::order_schemas(dry));
        schemas.extend(entries(dry));
    }
    schemas.sort_by(|(one, _), (other, _)| one.cmp(other));
    let basic = sorted!({
        "basic": { "type": "http", "scheme": "basic" },
        "bearer": { "type": "http", "scheme": "bearer" },
    });
    object([
        ("schemas", object(schemas)),
        ("securitySchemes", json(basic)),
    ])
}

fn failure() -> Json {
    let error = answered(
        ("Причина", "The cause"),
        [
            ("field", word([""], ("Всегда пусто", "Always empty"))),
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
            ("data", answered(("Всегда пусто", "Always empty"), [])),
            ("message", message()),
            ("errors", list(error, (1, 1), ("Одна причина", "One cause"))),
        ],
    )
}

/// What answers a batch, and its entries.
fn entries(dry: bool) -> [(String, Json); 3] {
    let of = |name: &str| of_run(name, dry);
    let about = if dry {
        (
            "Ответ проверки: каким он был бы; номера, которых ещё нет, — null",
            "A dry run's answer: what it would be; numbers that are not there yet are null",
        )
    } else {
        ("Ответ на пакет", "The answer to a batch")
    };
    let by_id = map(
        (
            "По id заказа, в порядке первого появления; \"#0\", \"#1\", … — элемент без пригодного id",
            "By the order's id, in the order of first appearance; \"#0\", \"#1\", …: an element without a usable id",
        ),
        named(&of("Entry")),
    );
    let either = Json::List(vec![named(&of("Accepted")), named("Rejected")]);
    let what = both(("Что стало с заказом", "What became of an order"));
    [
        (
            of("Answer"),
            answered(about, [("success", always(true)), ("data", by_id)]),
        ),
        (
            of("Entry"),
            object([("oneOf", either), ("description", json(what))]),
        ),
        (of("Accepted"), accepted(dry)),
    ]
}

fn accepted(dry: bool) -> Json {
    let warnings = list(
        named("Warning"),
        (1, usize::MAX),
        (
            "Есть, когда есть что сказать",
            "There where there is something to say",
        ),
    );
    let order = list(
        named(&of_run("AnsweredOrder", dry)),
        (1, 1),
        ("Заказ, как он сохранён", "The order as stored"),
    );
    let keys = [
        ("success", true, always(true)),
        ("data", true, order),
        ("warnings", false, warnings),
    ];
    schema::sent(("Заказ сохранён", "The order is stored"), keys.into_iter())
        .with("additionalProperties", false)
}

fn rejected() -> Json {
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
