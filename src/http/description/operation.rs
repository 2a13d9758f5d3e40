//! The operation `getOrdersURL`: its parameters, its request and its responses.

use serde_json::value::RawValue;

use super::schema::{Json, both, json, named, object, value};
use crate::{
    config::Limits,
    http::failure::Failure,
    order::{fault::Language, fields::Both},
};

pub const EXAMPLE_REQUEST: &str = include_str!("../../../tests/data/example-request.json");
/// What the demo answers to it.
const EXAMPLE_ANSWER: &str = include_str!("example-answer.json");

type Result<T> = serde_json::Result<T>;

/// What sites and apps call.
pub const ORDERS_TAG: &str = "orders";

pub fn operation(limits: &Limits) -> Result<Json> {
    let megabytes = limits.body_bytes / (1024 * 1024);
    let description = format!(
        "Тело — JSON-массив заказов, не больше {megabytes} МиБ ({} байт) после распаковки и {} заказов. UTF-8 или charset из Content-Type; \
         gzip, deflate, br, zstd. Ответ 200 — пакет обработан: каждый заказ либо сохранён, либо отклонён со всеми ошибками. \
         Ответ 503 — ничего не сохранено, повторите.\n\n\
         The body is a JSON array of orders, at most {megabytes} MiB ({} bytes) decompressed and {} orders. UTF-8 or the charset of \
         Content-Type; gzip, deflate, br, zstd. 200: the batch was processed, each order is stored or rejected with all its \
         faults. 503: nothing is stored, try again.",
        limits.body_bytes, limits.batch_orders, limits.body_bytes, limits.batch_orders,
    );
    let request = content(
        named("Batch"),
        [(
            "document".to_owned(),
            example(
                "Пример из документа / The document's example",
                EXAMPLE_REQUEST,
            )?,
        )],
    );
    let mut responses = vec![("200".to_owned(), processed()?)];
    let mut failures = Failure::all(limits).to_vec();
    failures.retain(|failure| {
        use Failure as F;
        !matches!(failure, F::CursorLost | F::TooManyWait | F::Importing)
    });
    failures.sort_by_key(|failure| failure.status());
    let status = |failure: &Failure| failure.status();
    for alike in failures.chunk_by(|one, other| status(one) == status(other)) {
        responses.push((alike[0].status().as_str().to_owned(), failed(alike)?));
    }
    // Without a login, too: an anonymous publication.
    let security = vec![object([("basic", Json::List(Vec::new()))]), no_fields()];
    Ok(object([
        (
            "summary",
            json("Принять пакет заказов / Take a batch of orders"),
        ),
        ("description", json(description)),
        ("operationId", json("getOrdersURL")),
        ("tags", Json::List(vec![json(ORDERS_TAG)])),
        ("parameters", Json::List(parameters().into())),
        (
            "requestBody",
            object([("content", request), ("required", json(true))]),
        ),
        ("responses", object(responses)),
        ("security", Json::List(security)),
    ]))
}

pub fn no_fields() -> Json {
    Json::Object(Vec::new())
}

fn parameters() -> [Json; 4] {
    let text = || object([("type", json("string"))]);
    let flag = object([("type", json("boolean")), ("default", json(false))]);
    [
        (
            "publication",
            "path",
            text(),
            (
                "Имя публикации, без учёта регистра",
                "The publication's name, whatever its case",
            ),
        ),
        (
            "dry_run",
            "query",
            flag,
            (
                "true — только проверить: ответ тот же, но ни один заказ не сохраняется, а ещё не выданные номера — null",
                "true: check only: the same answer, but no order is stored, and numbers not given yet are null",
            ),
        ),
        (
            "Accept-Language",
            "header",
            text(),
            (
                "Язык текстов: ru (по умолчанию) или en",
                "The texts' language: ru (the default) or en",
            ),
        ),
        (
            "X-Request-Id",
            "header",
            text(),
            (
                "Ваш номер запроса; возвращается в ответе",
                "Your id of the request; the answer repeats it",
            ),
        ),
    ]
    .map(|(name, place, schema, about)| parameter(name, place, schema, about))
}

pub fn parameter(name: &str, place: &str, schema: Json, about: Both) -> Json {
    object([
        ("name", json(name)),
        ("in", json(place)),
        ("description", json(both(about))),
        ("required", json(place == "path")),
        ("schema", schema),
    ])
}

/// A body in JSON, with examples by name.
fn content(schema: Json, examples: impl IntoIterator<Item = (String, Json)>) -> Json {
    let body = object([("schema", schema), ("examples", object(examples))]);
    object([("application/json", body)])
}

fn example(summary: &str, text: &str) -> Result<Json> {
    let value = RawValue::from_string(text.trim().to_owned())?;
    Ok(object([
        ("summary", json(summary)),
        ("value", Json::Verbatim(value)),
    ]))
}

fn header(about: Both) -> Json {
    object([("schema", value(&["string"], about))])
}

fn request_id() -> (String, Json) {
    let about = (
        "Номер запроса: ваш или наш",
        "The request's id: yours or ours",
    );
    ("X-Request-Id".to_owned(), header(about))
}

pub fn response(description: String, headers: Vec<(String, Json)>, content: Json) -> Json {
    object([
        ("description", json(description)),
        ("headers", object(headers)),
        ("content", content),
    ])
}

fn processed() -> Result<Json> {
    let either = object([(
        "anyOf",
        Json::List(vec![named("Answer"), named("DryRunAnswer")]),
    )]);
    let example = example("Ответ на пример / The example's answer", EXAMPLE_ANSWER)?;
    let dry_run = header((
        "true, если это была проверка; иначе заголовка нет",
        "true where this was a dry run; else it is not there",
    ));
    Ok(response(
        both((
            "Пакет обработан, что бы ни стало с каждым заказом",
            "The batch was processed, whatever became of each order",
        )),
        vec![("X-Dry-Run".to_owned(), dry_run), request_id()],
        content(either, [("demo".to_owned(), example)]),
    ))
}

pub fn failed(failures: &[Failure]) -> Result<Json> {
    let mut codes: Vec<_> = failures.iter().map(|failure| failure.code()).collect();
    codes.dedup();
    let mut examples = Vec::new();
    let mut headers = vec![request_id()];
    for (position, failure) in failures.iter().enumerate() {
        // Several failures may have one code.
        let alike = |other: &&Failure| other.code() == failure.code();
        let name = match failures[..position].iter().filter(alike).count() {
            0 => failure.code().to_owned(),
            before => format!("{}_{}", failure.code(), before + 1),
        };
        let summary = failure.message(Language::Ru);
        examples.push((name, example(&summary, &failure.in_json(Language::Ru))?));
        if let Some((name, value)) = failure.header() {
            let example = value.to_str().unwrap_or_default();
            let schema = object([("type", json("string")), ("examples", json(vec![example]))]);
            let name = header_name(name.as_str());
            headers.retain(|(other, _)| *other != name);
            headers.push((name, object([("schema", schema)])));
        }
    }
    let content = content(named("Failure"), examples);
    Ok(response(codes.join(", "), headers, content))
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
