//! What every request and its answer have, whatever becomes of them: an id, a language, a log line, a body read to
//! its end (contract §1).

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use opentelemetry::trace::SpanContext;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use uuid::Uuid;

use super::failure::Failure;
use crate::{
    config::Publication,
    order::fault::Language,
    telemetry::{
        metrics::{CHECKED, Metrics, PROCESSED},
        traces::{self, Answered, Stage},
    },
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The most that the log shows of a path and of a method.
const PATH_SHOWN: usize = 200;
const METHOD_SHOWN: usize = 20;
/// How much of a refused body is read so that the connection can serve the next request.
const DRAIN_BYTES: u64 = 1024 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// A request as everybody on this floor knows it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The caller's `X-Request-Id` if it sent a sane one, else a fresh UUID v7.
    pub request_id: String,
    /// What the caller reads.
    pub language: Language,
    /// As the log shows them.
    method: String,
    path: String,
    started: Instant,
    /// The caller's own span, where it traces its call.
    caller: Option<SpanContext>,
}

/// What the handler learns on its way and the log line tells.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Once the caller is let in.
    pub publication: Option<Arc<Publication>>,
    /// `None` also where the publication is anonymous.
    pub login: Option<String>,
    /// Whether it was only checked.
    pub dry_run: bool,
    /// Bytes of the body after decompression.
    pub bytes: usize,
    /// Elements in the batch; entries in the answer once there is one.
    pub orders: usize,
    /// Orders stored.
    pub accepted: usize,
    /// Orders not stored.
    pub rejected: usize,
    /// What it waited for.
    pub stages: Vec<Stage>,
}

impl Facts {
    /// Whether the caller is more than a stranger who found an open publication.
    fn is_of_somebody_known(&self) -> bool {
        self.login.is_some()
            || (self.publication.as_ref()).is_some_and(|known| !known.allow_from.is_empty())
    }

    /// The request waited for that, from then until now.
    pub fn waited(&mut self, name: &'static str, begin: Instant) {
        let end = Instant::now();
        self.stages.push(Stage { name, begin, end });
    }
}

/// Gives the request its id, runs it, and finishes its answer.
pub async fn answer(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let exchange = Exchange::begin(&request);
    // In its own task: a panic becomes a 500 and not a dropped connection, and a batch whose caller hangs up is
    // still taken to its end and has its log line.
    match tokio::spawn(exchange.clone().run(request, next, Arc::clone(&metrics))).await {
        Ok(response) => response,
        Err(_panic) => {
            let mut response = exchange.finish(Failure::Internal.into_response(), &metrics);
            close(&mut response);
            response
        }
    }
}

impl Exchange {
    fn begin(request: &Request) -> Self {
        Self {
            request_id: request_id(request.headers()),
            language: language(request.headers()),
            method: shown(request.method().as_str(), METHOD_SHOWN),
            path: shown(request.uri().path(), PATH_SHOWN),
            started: Instant::now(),
            caller: traces::caller(request.headers()),
        }
    }

    async fn run(self, request: Request, next: Next, metrics: Arc<Metrics>) -> Response {
        let (mut head, body) = request.into_parts();
        let waits_to_be_asked = expects_continue(&head.headers);
        let body = SharedBody::new(body);
        head.extensions.insert(self.clone());
        let response = next
            .run(Request::from_parts(head, Body::new(body.clone())))
            .await;
        let mut response = self.finish(response, &metrics);
        // A caller that was too slow once is not waited for again.
        let timed_out = response.status() == StatusCode::REQUEST_TIMEOUT;
        if timed_out || !body.drain(waits_to_be_asked).await {
            close(&mut response);
        }
        response
    }

    /// Writes the envelope of a failure, the id and the log line.
    fn finish(&self, mut response: Response, metrics: &Metrics) -> Response {
        let facts = response
            .extensions_mut()
            .remove::<Facts>()
            .unwrap_or_default();
        let failure = response.extensions_mut().remove::<Failure>();
        if let Some(failure) = failure {
            response = failure.envelope(self.language);
        }
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        let took = self.started.elapsed();
        let done = if facts.dry_run { CHECKED } else { PROCESSED };
        let outcome = failure.map_or(done, Failure::code);
        metrics.answered(outcome, facts.publication.is_some(), took);
        let code = failure.map(Failure::code);
        let publication = facts.publication.as_ref().map(|known| known.name.as_str());
        let trace_id = traces::answered(
            self.caller.as_ref(),
            &Answered {
                begin: self.started,
                status: response.status().as_u16(),
                request_id: &self.request_id,
                code,
                publication,
                orders: (facts.orders, facts.accepted, facts.rejected),
                stages: &facts.stages,
                is_known: facts.is_of_somebody_known(),
            },
        );
        // A stranger, on a publication that anybody may post to as well, could fill the disk with lines at no cost. A defect of ours is never one too many.
        if let Some(kind) = code
            && !facts.is_of_somebody_known()
            && failure != Some(Failure::Internal)
            && !metrics.strangers_lines.is_written(kind)
        {
            return response;
        }
        // Counts and names of publications only: nothing that says who ordered what (contract §7).
        tracing::info!(
            request_id = self.request_id,
            method = self.method,
            path = facts.publication.is_none().then_some(self.path.as_str()),
            publication,
            user = facts.login,
            orders = facts.orders,
            accepted = facts.accepted,
            rejected = facts.rejected,
            dry_run = facts.dry_run.then_some(true),
            bytes = facts.bytes,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            status = response.status().as_u16(),
            code,
            trace_id,
            "answered"
        );
        response
    }
}

/// What a stranger wrote, cut to so many characters. Nothing but ASCII is left, which steers no terminal.
fn shown(text: &str, most: usize) -> String {
    let mut symbols = utf8_percent_encode(text, CONTROLS).flat_map(str::chars);
    let mut shown: String = symbols.by_ref().take(most).collect();
    if symbols.next().is_some() {
        shown.push('…');
    }
    shown
}

fn close(response: &mut Response) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=128).contains(&id.len()))
        .filter(|id| {
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._:/+=-".contains(&byte))
        })
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// The language that the caller likes best of the two; of equals the first.
fn language(headers: &HeaderMap) -> Language {
    let mut best = (0.0, Language::default());
    let values = headers.get_all(header::ACCEPT_LANGUAGE).into_iter();
    for range in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        let language = match tag.trim().split('-').next() {
            Some(tag) if tag.eq_ignore_ascii_case("ru") => Language::Ru,
            Some(tag) if tag.eq_ignore_ascii_case("en") => Language::En,
            _ => continue,
        };
        let weight = weight
            .trim()
            .trim_start_matches(['q', 'Q'])
            .trim_start_matches('=');
        let weight = weight.parse::<f32>().unwrap_or(0.0);
        if weight > best.0 {
            best = (weight, language);
        }
    }
    best.1
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A request's body that can still be read to its end when the handler has let go of it.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Reading>>);

struct Reading {
    body: Body,
    begun: bool,
    ended: bool,
}

impl SharedBody {
    fn new(body: Body) -> Self {
        let ended = body.is_end_stream();
        Self(Arc::new(Mutex::new(Reading {
            body,
            begun: false,
            ended,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        // Whatever panicked over it, a body is still a body.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is left, within bounds, so that a caller who sends everything before it listens sees the answer
    /// and can use the connection again. `false`: there is more, and the connection must close.
    async fn drain(mut self, waits_to_be_asked: bool) -> bool {
        {
            let reading = self.lock();
            if reading.ended {
                return true;
            }
            // Reading would ask for a body that nobody wants, and one past the bound ends in closing anyway.
            if (waits_to_be_asked && !reading.begun)
                || reading.body.size_hint().lower() > DRAIN_BYTES
            {
                return false;
            }
        }
        let to_the_end = async {
            let mut left = DRAIN_BYTES;
            while let Some(frame) = self.frame().await {
                let length = frame.ok()?.data_ref().map_or(0, Bytes::len);
                left = left.checked_sub(length as u64)?;
            }
            Some(())
        };
        matches!(
            tokio::time::timeout(DRAIN_TIME, to_the_end).await,
            Ok(Some(()))
        )
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut reading = self.lock();
        reading.begun = true;
        let frame = Pin::new(&mut reading.body).poll_frame(cx);
        reading.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.lock().ended
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn_with_state, routing::get};
    use tower::ServiceExt;

    use super::*;
    use crate::{
        config::{Config, Environment},
        telemetry::metrics::Reading,
    };

    #[tokio::test]
    async fn a_panic_becomes_an_internal_error_and_not_a_dropped_connection() {
        async fn defect() {
            panic!("a defect, on purpose");
        }
        let environment = Environment::default();
        let config = Config::load("config/default.toml".as_ref(), &environment).expect("settings");
        let metrics = Arc::new(Metrics::new(&config));
        let router = Router::new()
            .route("/", get(defect))
            .layer(from_fn_with_state(Arc::clone(&metrics), answer));
        let request = Request::get("/")
            .header(X_REQUEST_ID, "mine")
            .header(header::ACCEPT_LANGUAGE, "en")
            .body(Body::empty());
        let Ok(response) = router.oneshot(request.expect("a request")).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[X_REQUEST_ID], "mine");
        let counted = metrics.text(&Reading::default()).expect("a text");
        assert!(counted.contains("aqua_requests_total{outcome=\"internal_error\"} 1\n"));
        assert_eq!(response.headers()[header::CONNECTION], "close");
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        assert_eq!(
            body,
            r#"{"success":false,"data":{},"message":"Internal error of the service.","errors":[{"field":"","code":"internal_error","message":"Internal error of the service."}]}"#
        );
    }
}
