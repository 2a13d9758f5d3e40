//! Whole-request failures -> status + envelope (contract §1, "Whole-request outcomes").

pub mod came;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use self::came::{Came, Name};
use super::login::Refused;
use crate::{
    config::Limits, fair_semaphore::QueueFull, intake::Unavailable, memory::Exhausted,
    order::fault::Language,
};

/// Why a request as a whole came to nothing. Each variant says which status and code it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// 400 `malformed_json`: the text stops being JSON at this place, both counted from 1, the column in characters.
    MalformedJson {
        /// Line of the text.
        line: usize,
        /// Column in that line.
        column: usize,
        /// The text ends where more was due; an empty body does so at once.
        cut_short: bool,
        /// What the text is instead.
        came: Came,
    },
    /// 400 `malformed_json`: the connection ended, or its chunks broke, before the body did.
    BodyCutShort,
    /// 400 `not_an_array`: valid JSON of this other kind.
    NotAnArray(Came),
    /// 400 `bad_encoding`: a `Content-Encoding` that we cannot undo.
    UnknownContentEncoding,
    /// 400 `bad_encoding`: the body is not what its `Content-Encoding` says, or is damaged.
    CorruptCompression,
    /// 400 `bad_encoding`: a `charset` that nobody knows, and the bytes are no UTF-8.
    UnknownCharset(Name),
    /// 400 `bad_encoding`: bytes that are no text in this charset, and what they look like.
    NotInCharset(&'static str, Came),
    /// 400 `invalid_parameter`: a `dry_run` that is neither true nor false.
    InvalidDryRun,
    /// 401 `unauthorized`, with `WWW-Authenticate`.
    Unauthorized,
    /// 403 `dry_run_only`: orders are tried out at this address, and not taken.
    DryRunOnly,
    /// 404 `not_found`.
    NotFound,
    /// 405 `method_not_allowed`, with `Allow`.
    MethodNotAllowed,
    /// 408 `request_timeout`: the body was not there in time.
    RequestTimeout,
    /// 413 `body_too_large`: more bytes, decompressed, than this.
    BodyTooLarge(usize),
    /// 413 `batch_too_large`: more orders than this.
    BatchTooLarge(usize),
    /// 413 `batch_too_large`: its answer would take more bytes than this.
    AnswerTooLarge(usize),
    /// 500 `internal_error`: a defect of ours; its cause is in the log.
    Internal,
    /// 503 `overloaded`, with `Retry-After`.
    Overloaded,
    /// 503 `storage_unavailable`, with `Retry-After`; nothing of the batch is stored.
    StorageUnavailable,
}

impl Failure {
    /// Every one of them, in the order of its declaration; where a place, a charset or a limit belongs to it, an example or
    /// these limits.
    #[must_use]
    pub fn all(limits: &Limits) -> [Self; 20] {
        let at = |column, cut_short, came| Self::MalformedJson {
            line: 1,
            column,
            cut_short,
            came,
        };
        [
            at(2, false, Came::Other),
            at(1, true, Came::Nothing),
            Self::BodyCutShort,
            Self::NotAnArray(Came::Object),
            Self::UnknownContentEncoding,
            Self::CorruptCompression,
            Self::UnknownCharset(Name::of("utf8mb4")),
            Self::NotInCharset("UTF-8", Came::Windows1251),
            Self::InvalidDryRun,
            Self::Unauthorized,
            Self::DryRunOnly,
            Self::NotFound,
            Self::MethodNotAllowed,
            Self::RequestTimeout,
            Self::BodyTooLarge(limits.body_bytes),
            Self::BatchTooLarge(limits.batch_orders),
            Self::AnswerTooLarge(limits.answer_bytes),
            Self::Internal,
            Self::Overloaded,
            Self::StorageUnavailable,
        ]
    }

    /// The HTTP status it becomes.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedJson { .. }
            | Self::BodyCutShort
            | Self::NotAnArray(_)
            | Self::UnknownContentEncoding
            | Self::CorruptCompression
            | Self::UnknownCharset(_)
            | Self::NotInCharset(..)
            | Self::InvalidDryRun => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::DryRunOnly => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge(_) | Self::BatchTooLarge(_) | Self::AnswerTooLarge(_) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::StorageUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code it has on the wire; codes never change.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::MalformedJson { .. } | Self::BodyCutShort => "malformed_json",
            Self::NotAnArray(_) => "not_an_array",
            Self::UnknownContentEncoding
            | Self::CorruptCompression
            | Self::UnknownCharset(_)
            | Self::NotInCharset(..) => "bad_encoding",
            Self::InvalidDryRun => "invalid_parameter",
            Self::Unauthorized => "unauthorized",
            Self::DryRunOnly => "dry_run_only",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::BatchTooLarge(_) | Self::AnswerTooLarge(_) => "batch_too_large",
            Self::Internal => "internal_error",
            Self::Overloaded => "overloaded",
            Self::StorageUnavailable => "storage_unavailable",
        }
    }

    /// The header that belongs to its status.
    pub(super) fn header(self) -> Option<(header::HeaderName, HeaderValue)> {
        let (name, value) = match self {
            Self::Unauthorized => (
                header::WWW_AUTHENTICATE,
                r#"Basic realm="AquaDeliveri", charset="UTF-8""#,
            ),
            Self::MethodNotAllowed => (header::ALLOW, "POST"),
            // The queue moves on in moments; a database that is away needs longer to come back.
            Self::Overloaded => (header::RETRY_AFTER, "2"),
            Self::StorageUnavailable => (header::RETRY_AFTER, "5"),
            _ => return None,
        };
        Some((name, HeaderValue::from_static(value)))
    }

    /// The same of a request with that query: data that is missed in the body may be there.
    #[must_use]
    pub(super) fn with_query(mut self, query: Option<&str>) -> Self {
        if let Self::MalformedJson { came, .. } = &mut self {
            *came = came.with_query(query);
        }
        self
    }

    /// What the caller reads. Nothing of the request's body is in it but a key, a few harmless characters of it.
    pub(super) fn message(self, language: Language) -> String {
        match language {
            Language::Ru => self.in_russian(),
            Language::En => self.in_english(),
        }
    }

    fn in_russian(self) -> String {
        match self {
            Self::MalformedJson { line, column, cut_short: true, came } => format!(
                "Тело запроса — не JSON: текст обрывается (строка {line}, столбец {column}).{}",
                came.sentence(Language::Ru)
            ),
            Self::MalformedJson { line, column, cut_short: false, came } => format!(
                "Тело запроса — не JSON: ошибка в строке {line}, столбце {column}.{}",
                came.sentence(Language::Ru)
            ),
            Self::BodyCutShort => "Тело запроса пришло не целиком.".into(),
            Self::NotAnArray(came) => match came {
                Came::Object => {
                    "Ожидается JSON-массив заказов, а пришёл один объект: и один заказ берут в квадратные скобки, [{…}].".into()
                }
                Came::ListUnder(key) => format!(
                    "Ожидается JSON-массив заказов, а пришёл объект, и массив в нём под ключом «{}»: пришлите сам массив.",
                    key.as_str()
                ),
                Came::JsonInText => {
                    "Ожидается JSON-массив заказов, а пришла строка, в которой JSON: он закодирован дважды.".into()
                }
                _ => "Ожидается JSON-массив заказов.".into(),
            },
            Self::UnknownContentEncoding => {
                "Неизвестное сжатие в Content-Encoding: понимаем gzip, deflate, br и zstd, по одному на запрос.".into()
            }
            Self::CorruptCompression => {
                "Тело запроса не распаковывается: оно повреждено или сжато не так, как сказано в Content-Encoding.".into()
            }
            Self::UnknownCharset(name) => format!(
                "Кодировка «{}» в charset неизвестна, а тело запроса — не UTF-8.",
                name.as_str()
            ),
            Self::NotInCharset(charset, came) => format!(
                "Тело запроса — не текст в кодировке {charset}: укажите верный charset в Content-Type или пришлите UTF-8.{}",
                came.sentence(Language::Ru)
            ),
            Self::InvalidDryRun => "Параметр dry_run: true (только проверить) или false.".into(),
            Self::Unauthorized => "Нужны логин и пароль публикации.".into(),
            Self::DryRunOnly => {
                "По этому адресу заказы только проверяются: добавьте ?dry_run=true.".into()
            }
            Self::NotFound => {
                "По этому адресу ничего нет: заказы принимаются на /<публикация>/hs/AquaDeliveri/getOrdersURL.".into()
            }
            Self::MethodNotAllowed => {
                "Сервис работает: по этому адресу он ждёт POST с JSON-массивом заказов.".into()
            }
            Self::RequestTimeout => "Тело запроса не пришло вовремя.".into(),
            Self::BodyTooLarge(limit) => {
                format!("Тело запроса больше допустимого: предел {limit} байт после распаковки.")
            }
            Self::BatchTooLarge(limit) => {
                format!("Заказов в пакете больше допустимого: предел {limit}.")
            }
            Self::AnswerTooLarge(limit) => format!(
                "Ответ на пакет занял бы больше {limit} байт, из пакета ничего не сохранено: отправьте меньше заказов сразу."
            ),
            Self::Internal => "Внутренняя ошибка сервиса.".into(),
            Self::Overloaded => "Сервис перегружен: повторите запрос позже.".into(),
            Self::StorageUnavailable => {
                "Хранилище недоступно, из пакета ничего не сохранено: повторите запрос позже.".into()
            }
        }
    }

    fn in_english(self) -> String {
        match self {
            Self::MalformedJson { line, column, cut_short: true, came } => format!(
                "The body is not JSON: the text breaks off at line {line}, column {column}.{}",
                came.sentence(Language::En)
            ),
            Self::MalformedJson { line, column, cut_short: false, came } => format!(
                "The body is not JSON: error at line {line}, column {column}.{}",
                came.sentence(Language::En)
            ),
            Self::BodyCutShort => "The body did not arrive whole.".into(),
            Self::NotAnArray(came) => match came {
                Came::Object => {
                    "A JSON array of orders is expected, and one object came: a single order goes into brackets, too, [{…}].".into()
                }
                Came::ListUnder(key) => format!(
                    "A JSON array of orders is expected, and an object came that has the array under the key \"{}\": send the array itself.",
                    key.as_str()
                ),
                Came::JsonInText => {
                    "A JSON array of orders is expected, and a string came that has JSON in it: it was encoded twice.".into()
                }
                _ => "A JSON array of orders is expected.".into(),
            },
            Self::UnknownContentEncoding => {
                "Unknown compression in Content-Encoding: gzip, deflate, br and zstd are understood, one per request.".into()
            }
            Self::CorruptCompression => {
                "The body cannot be decompressed: it is damaged, or not compressed as Content-Encoding says.".into()
            }
            Self::UnknownCharset(name) => format!(
                "The charset \"{}\" is unknown, and the body is no UTF-8.",
                name.as_str()
            ),
            Self::NotInCharset(charset, came) => format!(
                "The body is no text in {charset}: name the right charset in Content-Type or send UTF-8.{}",
                came.sentence(Language::En)
            ),
            Self::InvalidDryRun => "The parameter dry_run is true (only check) or false.".into(),
            Self::Unauthorized => "The publication's login and password are needed.".into(),
            Self::DryRunOnly => {
                "Orders are only checked at this address: add ?dry_run=true.".into()
            }
            Self::NotFound => {
                "Nothing is at this address: orders are taken at /<publication>/hs/AquaDeliveri/getOrdersURL.".into()
            }
            Self::MethodNotAllowed => {
                "The service works: at this address it waits for POST with a JSON array of orders.".into()
            }
            Self::RequestTimeout => "The body did not arrive in time.".into(),
            Self::BodyTooLarge(limit) => {
                format!("The body is too large: the limit is {limit} bytes after decompression.")
            }
            Self::BatchTooLarge(limit) => {
                format!("Too many orders in the batch: the limit is {limit}.")
            }
            Self::AnswerTooLarge(limit) => format!(
                "The answer to the batch would take more than {limit} bytes, nothing of it is stored: send fewer orders at a time."
            ),
            Self::Internal => "Internal error of the service.".into(),
            Self::Overloaded => "The service is overloaded: try again later.".into(),
            Self::StorageUnavailable => {
                "The storage is unavailable and nothing of the batch is stored: try again later.".into()
            }
        }
    }

    /// The answer's body.
    pub(super) fn in_json(self, language: Language) -> String {
        #[derive(Serialize)]
        struct Envelope<'a> {
            success: bool,
            data: Empty,
            message: &'a str,
            errors: [Error<'a>; 1],
        }
        #[derive(Serialize)]
        struct Empty {}
        #[derive(Serialize)]
        struct Error<'a> {
            field: &'static str,
            code: &'static str,
            message: &'a str,
        }

        let message = self.message(language);
        let envelope = Envelope {
            success: false,
            data: Empty {},
            message: &message,
            errors: [Error {
                field: "",
                code: self.code(),
                message: &message,
            }],
        };
        // Texts and nothing else: there is no way for this to fail, and the status tells the rest if it did.
        serde_json::to_string(&envelope).unwrap_or_default()
    }

    /// The answer as the caller gets it.
    #[must_use]
    pub fn envelope(self, language: Language) -> Response {
        let mut response = json(self.status(), self.in_json(language).into());
        response.headers_mut().extend(self.header());
        response
    }
}

/// A failure leaves the handlers as a mark on an empty response: only [`super::exchange::answer`] knows the
/// caller's language and writes the envelope.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unauthorized => Self::Unauthorized,
            Refused::Overloaded => Self::Overloaded,
        }
    }
}

impl From<Unavailable> for Failure {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Overloaded => Self::Overloaded,
            Unavailable::Storage => Self::StorageUnavailable,
            Unavailable::AnswerTooLarge(most) => Self::AnswerTooLarge(most),
        }
    }
}

impl From<Exhausted> for Failure {
    fn from(_: Exhausted) -> Self {
        Self::Overloaded
    }
}

impl From<QueueFull> for Failure {
    fn from(_: QueueFull) -> Self {
        Self::Overloaded
    }
}

/// A JSON answer as the contract wants its header.
pub fn json(status: StatusCode, body: Body) -> Response {
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Any method but POST at the orders' address, for every publication alike.
pub async fn method_not_allowed() -> Failure {
    Failure::MethodNotAllowed
}

/// Every other address.
pub async fn not_found() -> Failure {
    Failure::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    /// Its place in [`Failure::all`]. A new variant does not compile until it has one.
    fn place(failure: Failure) -> usize {
        use Failure as F;
        match failure {
            F::MalformedJson { cut_short, .. } => usize::from(cut_short),
            F::BodyCutShort => 2,
            F::NotAnArray(_) => 3,
            F::UnknownContentEncoding => 4,
            F::CorruptCompression => 5,
            F::UnknownCharset(_) => 6,
            F::NotInCharset(..) => 7,
            F::InvalidDryRun => 8,
            F::Unauthorized => 9,
            F::DryRunOnly => 10,
            F::NotFound => 11,
            F::MethodNotAllowed => 12,
            F::RequestTimeout => 13,
            F::BodyTooLarge(_) => 14,
            F::BatchTooLarge(_) => 15,
            F::AnswerTooLarge(_) => 16,
            F::Internal => 17,
            F::Overloaded => 18,
            F::StorageUnavailable => 19,
        }
    }

    #[test]
    fn the_list_of_failures_has_every_one() {
        let environment = Environment::default();
        let config = Config::load("config/default.toml".as_ref(), &environment).expect("settings");
        for (at, failure) in Failure::all(&config.limits).into_iter().enumerate() {
            assert_eq!(place(failure), at, "{failure:?}");
        }
    }

    #[test]
    fn whatever_may_pass_by_itself_is_a_503_with_retry_after() {
        for failure in [
            Failure::from(Unavailable::Overloaded),
            Failure::from(Unavailable::Storage),
            Failure::from(Refused::Overloaded),
        ] {
            let response = failure.envelope(Language::Ru);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            let seconds = response.headers()[header::RETRY_AFTER]
                .to_str()
                .unwrap_or_default();
            assert!(
                seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0),
                "{failure:?}"
            );
        }
        assert_eq!(Failure::from(Unavailable::Overloaded).code(), "overloaded");
        assert_eq!(
            Failure::from(Unavailable::Storage).code(),
            "storage_unavailable"
        );
    }
}
