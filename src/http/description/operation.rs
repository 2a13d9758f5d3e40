//! The operation `getOrdersURL`: its parameters, its request and its responses.

use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, Header, ObjectBuilder, RefOr, Required, ResponseBuilder, Schema,
    example::ExampleBuilder,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    schema::{AnyOf, AnyOfBuilder, Type},
    security::SecurityRequirement,
};

use super::schema::{both, named, value};
use crate::{
    config::Limits,
    http::failure::Failure,
    order::{fault::Language, fields::Both},
};

pub const EXAMPLE_REQUEST: &str = include_str!("../../../tests/data/example-request.json");
/// What the demo answers to it.
const EXAMPLE_ANSWER: &str = include_str!("example-answer.json");

const JSON: &str = "application/json";

/// JSON that goes into the document as it is written: a [`Value`] would put its keys in the alphabet's order.
#[derive(Default)]
pub struct Verbatim(Vec<String>);

impl Verbatim {
    /// A placeholder for this text until [`Self::fill`].
    pub fn put(&mut self, text: impl Into<String>) -> Value {
        self.0.push(text.into());
        Value::String(Self::mark(self.0.len() - 1))
    }

    fn mark(position: usize) -> String {
        format!("\u{1}{position}\u{1}")
    }

    pub fn fill(self, mut document: String) -> serde_json::Result<String> {
        for (position, text) in self.0.iter().enumerate() {
            document =
                document.replace(&serde_json::to_string(&Self::mark(position))?, text.trim());
        }
        Ok(document)
    }
}

pub fn operation(limits: &Limits, verbatim: &mut Verbatim) -> OperationBuilder {
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
        .security(SecurityRequirement::new::<_, [&str; 0], &str>("basic", []))
        // An anonymous publication.
        .security(SecurityRequirement::default())
        .request_body(Some(
            RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content(
                    JSON,
                    content(
                        named("Batch"),
                        [(
                            "document",
                            example(
                                "Пример из документа / The document's example",
                                verbatim.put(EXAMPLE_REQUEST),
                            ),
                        )],
                    ),
                )
                .build(),
        ))
        .response("200", processed(verbatim));
    for parameter in parameters() {
        operation = operation.parameter(parameter);
    }
    let mut failures = Failure::all(limits).to_vec();
    failures.sort_by_key(|failure| failure.status());
    for alike in failures.chunk_by(|one, other| one.status() == other.status()) {
        operation = operation.response(alike[0].status().as_str(), failed(alike, verbatim));
    }
    operation
}

fn parameters() -> [ParameterBuilder; 4] {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let flag = ObjectBuilder::new().schema_type(Type::Boolean);
    [
        (
            "publication",
            ParameterIn::Path,
            Required::True,
            text(),
            (
                "Имя публикации, без учёта регистра",
                "The publication's name, whatever its case",
            ),
        ),
        (
            "dry_run",
            ParameterIn::Query,
            Required::False,
            flag.default(Some(json!(false))),
            (
                "true — только проверить: ответ тот же, но ни один заказ не сохраняется, а ещё не выданные номера — null",
                "true: check only: the same answer, but no order is stored, and numbers not given yet are null",
            ),
        ),
        (
            "Accept-Language",
            ParameterIn::Header,
            Required::False,
            text(),
            (
                "Язык текстов: ru (по умолчанию) или en",
                "The texts' language: ru (the default) or en",
            ),
        ),
        (
            "X-Request-Id",
            ParameterIn::Header,
            Required::False,
            text(),
            (
                "Ваш номер запроса; возвращается в ответе",
                "Your id of the request; the answer repeats it",
            ),
        ),
    ]
    .map(|(name, parameter_in, required, schema, about)| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(parameter_in)
            .required(required)
            .schema(Some(schema))
            .description(Some(both(about)))
    })
}

fn content<N: Into<String>>(
    schema: RefOr<Schema>,
    examples: impl IntoIterator<Item = (N, ExampleBuilder)>,
) -> Content {
    ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter(examples)
        .build()
}

fn example(summary: impl Into<String>, value: Value) -> ExampleBuilder {
    ExampleBuilder::new().summary(summary).value(Some(value))
}

fn header(about: Both) -> Header {
    Header::new(value(&[Type::String], about))
}

fn request_id() -> Header {
    header((
        "Номер запроса: ваш или наш",
        "The request's id: yours or ours",
    ))
}

fn processed(verbatim: &mut Verbatim) -> ResponseBuilder {
    let either = AnyOfBuilder::from(AnyOf::new())
        .item(named("Answer"))
        .item(named("DryRunAnswer"))
        .build();
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
            content(
                RefOr::T(Schema::AnyOf(either)),
                [(
                    "demo",
                    example(
                        "Ответ на пример / The example's answer",
                        verbatim.put(EXAMPLE_ANSWER),
                    ),
                )],
            ),
        )
}

/// The failures of one status.
fn failed(failures: &[Failure], verbatim: &mut Verbatim) -> ResponseBuilder {
    let mut codes: Vec<_> = failures.iter().map(|failure| failure.code()).collect();
    codes.dedup();
    let examples: Vec<_> = failures
        .iter()
        .enumerate()
        .map(|(position, failure)| {
            // Several failures may have one code.
            let nth = failures[..position]
                .iter()
                .filter(|other| other.code() == failure.code())
                .count();
            let name = if nth == 0 {
                failure.code().to_owned()
            } else {
                format!("{}_{}", failure.code(), nth + 1)
            };
            let text = verbatim.put(failure.in_json(Language::Ru));
            (name, example(failure.message(Language::Ru), text))
        })
        .collect();
    let mut response = ResponseBuilder::new()
        .description(codes.join(", "))
        .header("X-Request-Id", request_id())
        .content(JSON, content(named("Failure"), examples));
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
