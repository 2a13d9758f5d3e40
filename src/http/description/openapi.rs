//! The call as an `OpenAPI` 3.1 document: fields from what the parser reads, codes, texts and limits from where they live.

use serde_json::{Value, json};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, Header, HttpMethod, InfoBuilder, ObjectBuilder,
    OneOfBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, RefOr, Required,
    ResponseBuilder, Schema,
    example::ExampleBuilder,
    extensions::ExtensionsBuilder,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    schema::{AnyOf, AnyOfBuilder, Type},
    security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use super::order;
use super::schema::{always, answered, both, list, map, named, no_entries, of_run, value, word};
use crate::{
    config::Limits,
    http::failure::Failure,
    order::{
        fault::{Fault, FaultCode, Hint, Language, Remark, Warning, WarningCode},
        fields::Both,
    },
};

/// The document's own example.
pub const EXAMPLE_REQUEST: &str = include_str!("../../../tests/data/example-request.json");
/// What the demo answers to it.
const EXAMPLE_ANSWER: &str = include_str!("example-answer.json");

const JSON: &str = "application/json";

/// The document, laid out for reading, with these limits in it.
///
/// # Errors
/// None that a limit could cause; the library cannot know.
pub fn document(limits: &Limits) -> serde_json::Result<String> {
    let mut verbatim = Verbatim::default();
    let text = build(limits, &mut verbatim).to_pretty_json()?;
    verbatim.fill(text)
}

/// JSON that goes into the document as it is written: a [`Value`] would put its keys in the alphabet's order.
#[derive(Default)]
struct Verbatim(Vec<String>);

impl Verbatim {
    /// Stands in for this text until [`Self::fill`].
    fn put(&mut self, text: impl Into<String>) -> Value {
        self.0.push(text.into());
        Value::String(Self::mark(self.0.len() - 1))
    }

    fn mark(place: usize) -> String {
        format!("\u{1}{place}\u{1}")
    }

    fn fill(self, mut document: String) -> serde_json::Result<String> {
        for (place, text) in self.0.iter().enumerate() {
            document = document.replace(&serde_json::to_string(&Self::mark(place))?, text.trim());
        }
        Ok(document)
    }
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

fn operation(limits: &Limits, verbatim: &mut Verbatim) -> OperationBuilder {
    let parameter = |name: &str, place, required, schema: RefOr<Schema>, about| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .schema(Some(schema))
            .description(Some(both(about)))
    };
    let text = || ObjectBuilder::new().schema_type(Type::String).into();
    let megabytes = limits.body_bytes / (1024 * 1024);
    let mut operation = OperationBuilder::new()
        .operation_id(Some("getOrdersURL"))
        .summary(Some("Принять пакет заказов / Take a batch of orders"))
        .description(Some(format!(
            "Тело — JSON-массив заказов, не больше {megabytes} МиБ ({} байт) после распаковки и {} заказов. UTF-8 или charset из Content-Type; \
             gzip, deflate, br, zstd. Ответ 200 — пакет обработан: каждый заказ либо сохранён, либо отклонён со всеми ошибками. \
             Ответ 503 — ничего не сохранено, повторите.\n\n\
             The body is a JSON array of orders, at most {megabytes} MiB ({} bytes) decompressed and {} orders. UTF-8 or the charset of \
             Content-Type; gzip, deflate, br, zstd. 200: the batch was processed, each order is stored or rejected with all its \
             faults. 503: nothing is stored, try again.",
            limits.body_bytes, limits.batch_orders, limits.body_bytes, limits.batch_orders,
        )))
        .parameter(parameter(
            "publication",
            ParameterIn::Path,
            Required::True,
            text(),
            ("Имя публикации, без учёта регистра", "The publication's name, whatever its case"),
        ))
        .parameter(parameter(
            "dry_run",
            ParameterIn::Query,
            Required::False,
            ObjectBuilder::new().schema_type(Type::Boolean).default(Some(json!(false))).into(),
            (
                "true — только проверить: ответ тот же, но ни один заказ не сохраняется, а ещё не выданные номера — null",
                "true: check only: the same answer, but no order is stored, and numbers not given yet are null",
            ),
        ))
        .parameter(parameter(
            "Accept-Language",
            ParameterIn::Header,
            Required::False,
            text(),
            ("Язык текстов: ru (по умолчанию) или en", "The texts' language: ru (the default) or en"),
        ))
        .parameter(parameter(
            "X-Request-Id",
            ParameterIn::Header,
            Required::False,
            text(),
            ("Ваш номер запроса; возвращается в ответе", "Your id of the request; the answer repeats it"),
        ))
        .security(SecurityRequirement::new::<_, [&str; 0], &str>("basic", []))
        // An anonymous publication.
        .security(SecurityRequirement::default())
        .request_body(Some(
            RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content(
                    JSON,
                    ContentBuilder::new()
                        .schema(Some(named("Batch")))
                        .examples_from_iter([(
                            "document",
                            ExampleBuilder::new()
                                .summary("Пример из документа / The document's example")
                                .value(Some(verbatim.put(EXAMPLE_REQUEST))),
                        )])
                        .build(),
                )
                .build(),
        ))
        .response("200", processed(verbatim));
    let mut failures = Failure::all(limits).to_vec();
    failures.sort_by_key(|failure| failure.status());
    for alike in failures.chunk_by(|one, other| one.status() == other.status()) {
        operation = operation.response(alike[0].status().as_str(), failed(alike, verbatim));
    }
    operation
}

fn header(about: Both) -> Header {
    Header::new(value([Type::String], about))
}

fn request_id() -> Header {
    header((
        "Номер запроса: ваш или наш",
        "The request's id: yours or ours",
    ))
}

fn processed(verbatim: &mut Verbatim) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(both((
            "Пакет обработан, что бы ни стало с каждым заказом",
            "The batch was processed, whatever became of each order",
        )))
        .header("X-Request-Id", request_id())
        .header(
            "X-Dry-Run",
            header((
                "true, если это была проверка; иначе заголовка нет",
                "true where this was a dry run; else it is not there",
            )),
        )
        .content(
            JSON,
            ContentBuilder::new()
                .schema(Some(RefOr::T(Schema::AnyOf(
                    AnyOfBuilder::from(AnyOf::new())
                        .item(named("Answer"))
                        .item(named("DryRunAnswer"))
                        .build(),
                ))))
                .examples_from_iter([(
                    "demo",
                    ExampleBuilder::new()
                        .summary("Ответ на пример / The example's answer")
                        .value(Some(verbatim.put(EXAMPLE_ANSWER))),
                )])
                .build(),
        )
}

/// The answer to the failures of one status.
fn failed(failures: &[Failure], verbatim: &mut Verbatim) -> ResponseBuilder {
    let mut codes: Vec<_> = failures.iter().map(|failure| failure.code()).collect();
    codes.dedup();
    let examples: Vec<_> = failures
        .iter()
        .enumerate()
        .map(|(place, failure)| {
            // Several failures may have one code.
            let nth = failures[..place]
                .iter()
                .filter(|other| other.code() == failure.code())
                .count();
            let name = if nth == 0 {
                failure.code().to_owned()
            } else {
                format!("{}_{}", failure.code(), nth + 1)
            };
            let example = ExampleBuilder::new()
                .summary(failure.message(Language::Ru))
                .value(Some(verbatim.put(failure.in_json(Language::Ru))));
            (name, example)
        })
        .collect();
    let mut response = ResponseBuilder::new()
        .description(codes.join(", "))
        .header("X-Request-Id", request_id())
        .content(
            JSON,
            ContentBuilder::new()
                .schema(Some(named("Failure")))
                .examples_from_iter(examples)
                .build(),
        );
    for failure in failures {
        if let Some((name, value)) = failure.header() {
            let mut schema = ObjectBuilder::new().schema_type(Type::String);
            if let Ok(value) = value.to_str() {
                schema = schema.examples([value]);
            }
            response = response.header(header_name(name.as_str()), Header::new(schema));
        }
    }
    response
}

/// `retry-after` as people write it.
fn header_name(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(1);
        if word == "www" {
            word.to_uppercase()
        } else {
            first.to_uppercase() + rest
        }
    });
    words.collect::<Vec<_>>().join("-")
}

/// A code with what it says, in both languages.
#[derive(Clone)]
struct Code {
    code: &'static str,
    status: Option<u16>,
    texts: [String; 2],
}

impl Code {
    fn of_warning(code: WarningCode) -> Self {
        let warning = Warning::new(&"", code);
        Self::of_remark(Remark::Warning(&warning))
    }

    /// Of an element that was not taken, where another one of its order was.
    fn of_fault_beside(code: FaultCode) -> Self {
        let fault = Fault {
            field: "field".to_owned(),
            code,
            hint: Hint::None,
        };
        Self::of_remark(Remark::NotTaken(&fault))
    }

    fn of_remark(remark: Remark<'_>) -> Self {
        Self {
            code: remark.code(),
            status: None,
            texts: LANGUAGES.map(|language| remark.message(language).into_owned()),
        }
    }
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
    let mut warnings = WarningCode::ALL.map(Code::of_warning).to_vec();
    // Of an order that stands twice in its batch, once with a fault.
    for code in FaultCode::ALL {
        if !warnings.iter().any(|one| one.code == code.as_str()) {
            warnings.push(Code::of_fault_beside(code));
        }
    }
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
    components = order::sent_schemas(components, limits);
    components = order::shared_schemas(components);
    for dry in [false, true] {
        components = order::answered_schemas(components, dry);
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
            ("message", order::message()),
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
            ("message", order::message()),
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

/// The answer to a batch and its entries.
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
    let accepted = answered(
        ("Заказ сохранён", "The order is stored"),
        [
            ("success", always(true)),
            (
                "data",
                list(
                    Type::Array.into(),
                    named(&of("AnsweredOrder")),
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
    );
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
        .schema(of("Accepted"), accepted);
    if dry {
        return components;
    }
    components.schema(
        "Rejected",
        answered(
            (
                "Заказ не принят; до исправления повторять незачем",
                "The order was not taken; there is no use in sending it again unchanged",
            ),
            [
                ("success", always(false)),
                ("data", no_entries(("Всегда пусто", "Always empty"))),
                ("message", order::message()),
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
        ),
    )
}

#[cfg(test)]
mod tests {
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
