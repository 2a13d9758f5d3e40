//! Whole-request failures -> status + envelope (contract §1, "Whole-request outcomes").

pub mod looks_like;
mod message;

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use self::looks_like::{LooksLike, SafeName};
use super::login::Refused;
use crate::{
    config::Limits, fair_semaphore::QueueFull, intake::Unavailable, memory::Exhausted,
    order::fault::Language,
};

/// Why a request as a whole came to nothing. Each variant says which status and code it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// 400 `malformed_json`: the text stops being JSON at this position, both counted from 1, the column in characters.
    MalformedJson {
        line: usize,
        column: usize,
        /// The text ends where more was due; an empty body does so at once.
        cut_short: bool,
        /// What the text is rather than JSON.
        looks_like: LooksLike,
    },
    /// 400 `malformed_json`: the connection ended, or its chunks broke, before the body did.
    BodyCutShort,
    /// 400 `not_an_array`: valid JSON of this other kind.
    NotAnArray(LooksLike),
    /// 400 `bad_encoding`: a `Content-Encoding` that we cannot undo.
    UnknownContentEncoding,
    /// 400 `bad_encoding`: the body is not what its `Content-Encoding` says, or is damaged.
    CorruptCompression,
    /// 400 `bad_encoding`: a `charset` that nobody knows, and the bytes are no UTF-8.
    UnknownCharset(SafeName),
    /// 400 `bad_encoding`: bytes that are no text in this charset, and what they look like.
    NotInCharset(&'static str, LooksLike),
    /// 400 `invalid_parameter`.
    InvalidParameter(Parameter),
    /// 401 `unauthorized`, with `WWW-Authenticate`.
    Unauthorized,
    /// 403 `dry_run_only`: this listener takes dry runs only.
    DryRunOnly,
    /// 404 `not_found`.
    NotFound,
    /// 405 `method_not_allowed`, with `Allow`.
    MethodNotAllowed(Methods),
    /// 408 `request_timeout`: the body was not there in time.
    RequestTimeout,
    /// 410 `cursor_lost`: a cursor of another publication, or of a history of the database that is gone.
    CursorLost,
    /// 413 `body_too_large`: more bytes than this, decompressed.
    BodyTooLarge(usize),
    /// 413 `batch_too_large`: more orders than this.
    BatchTooLarge(usize),
    /// 413 `batch_too_large`: its response would take more bytes than this.
    AnswerTooLarge(usize),
    /// 500 `internal_error`: a defect of ours; its cause is in the log.
    Internal,
    /// 503 `overloaded`, with `Retry-After`.
    Overloaded,
    /// The same: as many of this login wait at the feed as may.
    TooManyWait,
    /// The same: another file is being imported.
    Importing,
    /// 503 `storage_unavailable`, with `Retry-After`; nothing of the batch is stored.
    StorageUnavailable,
}

/// A parameter of the query that is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    DryRun,
    SkipBad,
    After,
    Since,
    AfterAndSince,
    Limit,
    Wait,
    /// It came twice, and said two things.
    Twice(SafeName),
    /// There is none of that name here.
    Unknown(SafeName),
}

/// Which methods an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// `getOrdersURL`.
    Orders,
    Post,
    GetAndPost,
}

impl Methods {
    fn as_str(self) -> &'static str {
        match self {
            Self::Orders | Self::Post => "POST",
            Self::GetAndPost => "GET, POST",
        }
    }
}

impl Failure {
    /// Every one of them, in the order of declaration, with these limits and with examples for what else belongs to it.
    pub fn all(limits: &Limits) -> [Self; 23] {
        let malformed = |column, cut_short, looks_like| Self::MalformedJson {
            line: 1,
            column,
            cut_short,
            looks_like,
        };
        [
            malformed(2, false, LooksLike::Other),
            malformed(1, true, LooksLike::Nothing),
            Self::BodyCutShort,
            Self::NotAnArray(LooksLike::Object),
            Self::UnknownContentEncoding,
            Self::CorruptCompression,
            Self::UnknownCharset(SafeName::of("utf8mb4")),
            Self::NotInCharset("UTF-8", LooksLike::Windows1251),
            Self::InvalidParameter(Parameter::DryRun),
            Self::Unauthorized,
            Self::DryRunOnly,
            Self::NotFound,
            Self::MethodNotAllowed(Methods::Orders),
            Self::RequestTimeout,
            Self::CursorLost,
            Self::BodyTooLarge(limits.body_bytes),
            Self::BatchTooLarge(limits.batch_orders),
            Self::AnswerTooLarge(limits.answer_bytes),
            Self::Internal,
            Self::Overloaded,
            Self::TooManyWait,
            Self::Importing,
            Self::StorageUnavailable,
        ]
    }

    pub fn status(self) -> StatusCode {
        self.status_and_code().0
    }

    /// Codes never change.
    pub fn code(self) -> &'static str {
        self.status_and_code().1
    }

    fn status_and_code(self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::MalformedJson { .. } | Self::BodyCutShort => (S::BAD_REQUEST, "malformed_json"),
            Self::NotAnArray(_) => (S::BAD_REQUEST, "not_an_array"),
            Self::UnknownContentEncoding
            | Self::CorruptCompression
            | Self::UnknownCharset(_)
            | Self::NotInCharset(..) => (S::BAD_REQUEST, "bad_encoding"),
            Self::InvalidParameter(_) => (S::BAD_REQUEST, "invalid_parameter"),
            Self::Unauthorized => (S::UNAUTHORIZED, "unauthorized"),
            Self::DryRunOnly => (S::FORBIDDEN, "dry_run_only"),
            Self::NotFound => (S::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed(_) => (S::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::RequestTimeout => (S::REQUEST_TIMEOUT, "request_timeout"),
            Self::CursorLost => (S::GONE, "cursor_lost"),
            Self::BodyTooLarge(_) => (S::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BatchTooLarge(_) | Self::AnswerTooLarge(_) => {
                (S::PAYLOAD_TOO_LARGE, "batch_too_large")
            }
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::Overloaded | Self::TooManyWait | Self::Importing => {
                (S::SERVICE_UNAVAILABLE, "overloaded")
            }
            Self::StorageUnavailable => (S::SERVICE_UNAVAILABLE, "storage_unavailable"),
        }
    }

    /// The header that belongs to its status.
    pub(super) fn header(self) -> Option<(header::HeaderName, HeaderValue)> {
        let (name, value) = match self {
            Self::Unauthorized => (
                header::WWW_AUTHENTICATE,
                r#"Basic realm="AquaDeliveri", charset="UTF-8""#,
            ),
            Self::MethodNotAllowed(methods) => (header::ALLOW, methods.as_str()),
            // The queue moves on in moments; a database that is away needs longer to come back.
            Self::Overloaded | Self::TooManyWait | Self::Importing => (header::RETRY_AFTER, "2"),
            Self::StorageUnavailable => (header::RETRY_AFTER, "5"),
            _ => return None,
        };
        Some((name, HeaderValue::from_static(value)))
    }

    /// Where the body is empty, the data may be in the query.
    pub(super) fn with_query(mut self, query: Option<&str>) -> Self {
        if let Self::MalformedJson { looks_like, .. } = &mut self {
            *looks_like = looks_like.with_query(query);
        }
        self
    }

    /// What the caller reads. Nothing of the request's body is in it but a key, a few harmless characters of it.
    pub(super) fn message(self, language: Language) -> Cow<'static, str> {
        let (ru, en) = self.texts();
        match language {
            Language::Ru => ru,
            Language::En => en,
        }
    }

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

    /// The response as the caller gets it.
    pub fn envelope(self, language: Language) -> Response {
        let mut response = json(self.status(), self.in_json(language).into());
        response.headers_mut().extend(self.header());
        response
    }
}

/// A failure leaves the handlers as an extension of an empty response: only [`super::exchange::layer`] knows the caller's
/// language and writes the envelope.
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

/// A JSON response, with the header that the contract wants.
pub fn json(status: StatusCode, body: Body) -> Response {
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

pub async fn not_found() -> Failure {
    Failure::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    /// Its position in [`Failure::all`]. A new variant does not compile until it has one.
    fn position(failure: Failure) -> usize {
        use Failure as F;
        match failure {
            F::MalformedJson { cut_short, .. } => usize::from(cut_short),
            F::BodyCutShort => 2,
            F::NotAnArray(_) => 3,
            F::UnknownContentEncoding => 4,
            F::CorruptCompression => 5,
            F::UnknownCharset(_) => 6,
            F::NotInCharset(..) => 7,
            F::InvalidParameter(_) => 8,
            F::Unauthorized => 9,
            F::DryRunOnly => 10,
            F::NotFound => 11,
            F::MethodNotAllowed(_) => 12,
            F::RequestTimeout => 13,
            F::CursorLost => 14,
            F::BodyTooLarge(_) => 15,
            F::BatchTooLarge(_) => 16,
            F::AnswerTooLarge(_) => 17,
            F::Internal => 18,
            F::Overloaded => 19,
            F::TooManyWait => 20,
            F::Importing => 21,
            F::StorageUnavailable => 22,
        }
    }

    #[test]
    fn the_list_of_failures_has_every_one() {
        let environment = Environment::default();
        let config = Config::load("config/default.toml".as_ref(), &environment).expect("settings");
        for (at, failure) in Failure::all(&config.limits).into_iter().enumerate() {
            assert_eq!(position(failure), at, "{failure:?}");
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
