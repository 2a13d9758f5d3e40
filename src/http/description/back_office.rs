//! What a back office calls (contract §8.1, §8.2): paths, and the schemas that they add.

use serde_json::Result;

use super::{
    operation::{failed, no_fields, parameter, response},
    schema::{
        Json, always, answered, both, json, list, map, named, object, or_null, sent, value, word,
    },
    sent::sent_field,
};
use crate::{
    config::Limits,
    http::{
        failure::Failure,
        path::{
            CLIENTS_ROUTE, DISTRICTS_ROUTE, FEED_ROUTE, PRODUCTS_ROUTE, PUSHED_ROUTE, RESULTS_ROUTE,
        },
    },
    order::{
        fields::{Both, Field, PUSHED, RESULT},
        model::Status,
    },
};

const MANY: (usize, usize) = (0, usize::MAX);

/// An operation: its name, what it is, the parameters of its query, the content that it takes, what it answers, and failures that it does not know.
struct Operation {
    id: &'static str,
    tag: &'static str,
    about: Both,
    query: &'static [(&'static str, &'static str, Both)],
    takes: Option<Json>,
    answers: &'static str,
    not: &'static [&'static str],
    /// How callers say who they are. A token says of which publication, too.
    by: &'static str,
}

/// Orders to the back office, and back.
pub const EXCHANGE_TAG: &str = "exchange";
/// The back office's own data.
pub const REFERENCE_TAG: &str = "reference";

const BASIC: &str = "basic";
const BEARER: &str = "bearer";

const OF_A_FILE: &[(&str, &str, Both)] = &[
    (
        "dry_run",
        "boolean",
        (
            "true — только сказать, что изменится",
            "true: only say what would change",
        ),
    ),
    (
        "skip_bad",
        "boolean",
        (
            "true — пропустить негодные строки; без него они отвергают файл",
            "true: leave bad lines out; without it they refuse the file",
        ),
    ),
];

/// The paths and what may be called there.
pub fn paths(limits: &Limits) -> Result<Vec<(&'static str, Json)>> {
    let feed = Operation {
        id: "feed",
        tag: EXCHANGE_TAG,
        about: (
            "Лента заказов: каждый один раз, у последнего изменения",
            "The feed of orders: each once, at its last change",
        ),
        query: &[
            (
                "after",
                "string",
                (
                    "cursor прошлого ответа; без него или пустой — с самого начала",
                    "The cursor of the last answer; without it, or empty: from the beginning",
                ),
            ),
            (
                "since",
                "string",
                (
                    "Вместо after: всё, что менялось с этих даты и времени, и, может быть, больше",
                    "Instead of after: all that was changed from that date and time on, and perhaps more",
                ),
            ),
            (
                "limit",
                "integer",
                (
                    "Заказов в ответе, 1–500; 100",
                    "Orders in an answer, 1 to 500; 100",
                ),
            ),
            (
                "wait",
                "integer",
                (
                    "Секунд ждать первый заказ, 0–30; 0",
                    "Seconds to wait for the first order, 0 to 30; 0",
                ),
            ),
        ],
        takes: None,
        answers: "Feed",
        not: &[
            "bad_encoding",
            "malformed_json",
            "not_an_array",
            "dry_run_only",
            "request_timeout",
            "body_too_large",
            "batch_too_large",
        ],
        by: BASIC,
    };
    let results = Operation {
        id: "results",
        tag: EXCHANGE_TAG,
        about: (
            "Что стало с заказами в учётной системе",
            "What became of orders in the back office",
        ),
        query: &[],
        takes: Some(json_body(list(
            named(RESULT.name),
            (0, limits.batch_orders),
            ("Итоги", "Results"),
        ))),
        answers: "Results",
        not: &["dry_run_only", "cursor_lost"],
        by: BASIC,
    };
    let pushed = Operation {
        id: "importPushed",
        tag: EXCHANGE_TAG,
        about: (
            "1С сообщает состояния и свои номера заказов",
            "1C tells statuses and its numbers of orders",
        ),
        query: &[],
        takes: Some(json_body(list(
            named(PUSHED.name),
            (0, limits.batch_orders),
            ("Заказы", "Orders"),
        ))),
        answers: "PushedAnswer",
        not: &["dry_run_only", "cursor_lost", "invalid_parameter"],
        by: BEARER,
    };
    let file = |id, ru, en| Operation {
        id,
        tag: REFERENCE_TAG,
        about: (ru, en),
        query: OF_A_FILE,
        takes: Some(file_body()),
        answers: "ImportReport",
        not: &[
            "malformed_json",
            "not_an_array",
            "dry_run_only",
            "cursor_lost",
        ],
        by: BASIC,
    };
    let post = |operation: Operation| Ok(object([("post", operation.describe(limits)?)]));
    let of_orders = file(
        "importOrders",
        "Заказы, которые были в 1С до переключения",
        "Orders that 1C had before the switch",
    );
    Ok(vec![
        (
            FEED_ROUTE,
            object([
                ("get", feed.describe(limits)?),
                ("post", of_orders.describe(limits)?),
            ]),
        ),
        (RESULTS_ROUTE, post(results)?),
        (PUSHED_ROUTE, post(pushed)?),
        (
            PRODUCTS_ROUTE,
            post(file("importProducts", "Товары", "Products"))?,
        ),
        (
            DISTRICTS_ROUTE,
            post(file("importDistricts", "Районы", "Districts"))?,
        ),
        (
            CLIENTS_ROUTE,
            post(file("importClients", "Клиенты", "Clients"))?,
        ),
    ])
}

impl Operation {
    fn describe(self, limits: &Limits) -> Result<Json> {
        let text = || object([("type", json("string"))]);
        let publication = (
            "Имя публикации, без учёта регистра",
            "The publication's name, whatever its case",
        );
        let mut parameters = Vec::new();
        if self.by == BASIC {
            parameters.push(parameter("publication", "path", text(), publication));
        }
        for (name, kind, about) in self.query {
            let schema = object([("type", json(*kind))]);
            parameters.push(parameter(name, "query", schema, *about));
        }
        let mut responses = vec![(
            "200".to_owned(),
            response(both(self.about), Vec::new(), json_body(named(self.answers))),
        )];
        let mut failures = Failure::all(limits).to_vec();
        failures.retain(|failure| match failure {
            Failure::TooManyWait => self.answers == "Feed",
            Failure::Importing => self.answers == "ImportReport",
            failure => !self.not.contains(&failure.code()),
        });
        failures.sort_by_key(|failure| failure.status());
        for alike in failures.chunk_by(|one, other| one.status() == other.status()) {
            responses.push((alike[0].status().as_str().to_owned(), failed(alike)?));
        }
        let mut operation = object([
            (
                "summary",
                json(format!("{} / {}", self.about.0, self.about.1)),
            ),
            ("operationId", json(self.id)),
            ("tags", Json::List(vec![json(self.tag)])),
            ("parameters", Json::List(parameters)),
            ("responses", object(responses)),
            (
                "security",
                Json::List(vec![object([(self.by, Json::List(Vec::new()))])]),
            ),
        ]);
        if let Some(takes) = self.takes {
            operation.push(
                "requestBody",
                object([("content", takes), ("required", json(true))]),
            );
        }
        Ok(operation)
    }
}

fn json_body(schema: Json) -> Json {
    object([("application/json", body(schema))])
}

/// Whichever it is, the file's own text says.
fn file_body() -> Json {
    let about = (
        "Файл для aqua-orders import: CSV или JSON",
        "A file for aqua-orders import: CSV or JSON",
    );
    let row = value(&["object"], ("Строка", "A row"));
    object([
        ("text/csv", body(value(&["string"], about))),
        ("application/json", body(list(row, MANY, about))),
    ])
}

fn body(schema: Json) -> Json {
    object([("schema", schema), ("examples", no_fields())])
}

/// What these paths take and answer.
pub fn schemas(limits: &Limits) -> [(String, Json); 8] {
    let text = |about| value(&["string"], about);
    let or_nothing = |about| value(&["string", "null"], about);
    let whole = |about| value(&["integer"], about);
    let flag = |about| value(&["boolean"], about);
    let receiver = answered(
        ("Заказ в учётной системе", "The order in the back office"),
        [
            ("number", or_nothing(("Номер", "Number"))),
            ("uid", or_nothing(("Идентификатор", "Id"))),
        ],
    );
    let order = value(
        &["object"],
        (
            "Заказ целиком, ключи как в AnsweredOrder; даты в ISO 8601, product_price_list — массив",
            "The whole order with the keys of AnsweredOrder; dates in ISO 8601, product_price_list is a list",
        ),
    );
    let entry = answered(
        ("Заказ ленты", "An order of the feed"),
        [
            ("number", whole(("Наш номер", "Our number"))),
            ("id", text(("id сайта", "The sender's id"))),
            (
                "version",
                whole(("Растёт с каждым изменением", "Grows with each change")),
            ),
            ("changed_at", text(("Когда, ISO 8601", "When, ISO 8601"))),
            (
                "changed_by",
                word(
                    ["sender", "operator", "back_office"],
                    ("Кто изменил последним", "Who changed it last"),
                ),
            ),
            ("receiver", receiver),
            ("order", order),
        ],
    );
    let feed = answered(
        ("Часть ленты", "A part of the feed"),
        [
            ("success", always(true)),
            ("cursor", text(("Откуда читать дальше", "Where to read on"))),
            ("more", flag(("Есть ли ещё", "Whether there is more"))),
            (
                "orders",
                list(named("FeedOrder"), (0, 500), ("Заказы", "Orders")),
            ),
        ],
    );
    let sent_object = |about, fields: &'static [Field]| {
        let fields = fields.iter();
        let fields = fields.map(|field| (field.name, field.is_required, sent_field(field, limits)));
        sent(about, fields)
    };
    let result = sent_object(RESULT.about, &RESULT.fields);
    let pushed = sent_object(PUSHED.about, &PUSHED.fields);
    let results = answered(
        (
            "Что стало с итогами, в их порядке",
            "What became of the results, in their order",
        ),
        [
            ("success", always(true)),
            (
                "results",
                list(
                    answered(
                        ("Итог", "A result"),
                        [
                            (
                                "number",
                                value(
                                    &["integer", "null"],
                                    ("Номер; null — не прочитан", "The number; null: unreadable"),
                                ),
                            ),
                            ("success", flag(("Принят?", "Taken?"))),
                            (
                                "version",
                                value(
                                    &["integer", "null"],
                                    ("Версия заказа теперь", "The order's version now"),
                                ),
                            ),
                            (
                                "status",
                                word_or_null(("Состояние теперь", "The status now")),
                            ),
                            (
                                "message",
                                text(("Почему не принят", "Why it was not taken")),
                            ),
                            ("errors", list(named("Fault"), MANY, ("Ошибки", "Faults"))),
                            (
                                "warnings",
                                list(named("Warning"), MANY, ("Предупреждения", "Warnings")),
                            ),
                        ],
                    ),
                    MANY,
                    ("По одному на итог", "One for each result"),
                ),
            ),
        ],
    );
    let problem = answered(
        ("Негодная строка", "A bad line"),
        [
            (
                "line",
                whole((
                    "Строка файла; 0 — файл целиком",
                    "The file's line; 0: the file as a whole",
                )),
            ),
            ("column", text(("Столбец", "The column"))),
            ("reason", text(("Почему", "Why"))),
        ],
    );
    let report = answered(
        ("Отчёт об импорте", "An import's report"),
        [
            ("success", flag(("Принят?", "Taken?"))),
            ("data", answered(("Всегда пусто", "Always empty"), [])),
            ("message", text(("Почему нет", "Why not"))),
            (
                "errors",
                list(
                    answered(
                        ("Причина", "The cause"),
                        [
                            ("field", word([""], ("Всегда пусто", "Always empty"))),
                            ("code", word(["file_refused"], ("Код", "Code"))),
                            ("message", text(("Текст", "Text"))),
                        ],
                    ),
                    (0, 1),
                    ("Пусто, если принят", "Empty where it was taken"),
                ),
            ),
            ("stored", flag(("Сохранён?", "Stored?"))),
            ("dry_run", flag(("Только проверен?", "Only tried?"))),
            ("new", whole(("Новых", "New"))),
            ("changed", whole(("Изменённых", "Changed"))),
            ("unchanged", whole(("Прежних", "Unchanged"))),
            ("refused", whole(("Негодных", "Refused"))),
            (
                "problems",
                list(problem, (0, 1000), ("Негодные строки", "Bad lines")),
            ),
            (
                "notes",
                list(
                    text(("Что стоит знать", "What should be known")),
                    MANY,
                    ("Замечания", "Notes"),
                ),
            ),
        ],
    );
    let taken = answered(
        ("Заказ, как он теперь", "The order as it is now"),
        [
            ("id", text(("Наш номер", "Our number"))),
            (
                "external_id",
                or_nothing(("id из запроса", "The id that was sent")),
            ),
            ("status", named("ResultStatus")),
        ],
    );
    let warnings = list(named("Warning"), MANY, ("Предупреждения", "Warnings"));
    let accepted = [
        ("success", true, always(true)),
        ("data", true, list(taken, (1, 1), ("Заказ", "The order"))),
        ("warnings", false, warnings),
    ];
    let accepted = sent(
        ("Заказ принят", "The order was taken"),
        accepted.into_iter(),
    )
    .with("additionalProperties", false);
    let either = object([("anyOf", Json::List(vec![accepted, named("Rejected")]))]);
    let by_id = (
        "По id из запроса; \"#0\", \"#1\", … — заказ без пригодного id",
        "By the id that was sent; \"#0\", \"#1\", …: an order without a usable one",
    );
    let pushed_answer = answered(
        ("Что стало с заказами", "What became of the orders"),
        [("success", always(true)), ("data", map(by_id, either))],
    );
    [
        (PUSHED.name, pushed),
        ("PushedAnswer", pushed_answer),
        ("Feed", feed),
        ("FeedOrder", entry),
        (RESULT.name, result),
        ("Results", results),
        ("ImportReport", report),
        (
            "ResultStatus",
            word(Status::ALLOWED.split(", "), ("Состояние", "The status")),
        ),
    ]
    .map(|(name, schema)| (name.to_owned(), schema))
}

fn word_or_null(about: Both) -> Json {
    or_null("ResultStatus", about)
}
