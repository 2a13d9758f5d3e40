//! What every request and its response have, whatever becomes of them: an id, a language, a log line, a body read to its
//! end (contract §1).

use std::{net::IpAddr, sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use opentelemetry::trace::SpanContext;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use uuid::Uuid;

use super::{
    body::drain::DrainableBody,
    failure::Failure,
    listener::address::{OverTls, ViaProxy, X_FORWARDED_PROTO},
    login::{Caller, Refused},
    path::route_of,
};
use crate::{
    config::Publication,
    order::fault::Language,
    telemetry::{
        metrics::{CHECKED, Metrics, PROCESSED, Took},
        traces::{self, Answered, Asked, Stage},
    },
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The most that the log shows of a path and of a method.
const PATH_SHOWN: usize = 200;
const METHOD_SHOWN: usize = 20;
const HOST_SHOWN: usize = 100;

/// A request as all of `http` knows it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The caller's `X-Request-Id` if that is sane, else a fresh UUID v7.
    pub request_id: String,
    pub language: Language,
    /// As the log shows it, like `path`.
    method: String,
    path: String,
    started: Instant,
    caller: Option<SpanContext>,
    asked: Asked,
}

/// What the handler learns on its way and the log line tells.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Once the caller is let in.
    pub publication: Option<Arc<Publication>>,
    /// `None` also where the publication is anonymous.
    pub login: Option<String>,
    /// Of a caller whose credentials were wrong, and of nobody else.
    pub refused_address: Option<IpAddr>,
    pub dry_run: bool,
    pub bytes: usize,
    /// Elements in the batch; entries in the response once there is one.
    pub orders: usize,
    pub accepted: usize,
    pub rejected: usize,
    /// What of the feed was read: from behind the first position up to the second.
    pub range: Option<(i64, i64)>,
    pub stages: Vec<Stage>,
}

impl Facts {
    /// Whether the caller is more than a stranger who found an open publication.
    fn is_known(&self) -> bool {
        self.login.is_some()
            || (self.publication.as_ref()).is_some_and(|known| known.is_bound_to_networks())
    }

    /// Notes who was let in.
    pub fn know(&mut self, caller: &Caller) {
        self.publication = Some(Arc::clone(&caller.publication));
        self.login.clone_from(&caller.login);
    }

    /// Counts the entries of the answer, each by whether it was accepted.
    pub fn counts(&mut self, accepted: impl Iterator<Item = bool>) {
        (self.orders, self.accepted) = (0, 0);
        for is_accepted in accepted {
            self.orders += 1;
            self.accepted += usize::from(is_accepted);
        }
        self.rejected = self.orders - self.accepted;
    }

    /// Notes from where wrong credentials came: who guesses at passwords must be in somebody's log. A caller without any has
    /// guessed at nothing.
    pub fn refused(&mut self, refused: Refused, authorization: Option<&[u8]>, address: IpAddr) {
        let guessed = refused == Refused::Unauthorized && authorization.is_some();
        self.refused_address = guessed.then_some(address);
    }

    /// The response, with this for its log line.
    pub fn with(self, outcome: Result<Response, Failure>) -> Response {
        let mut response = outcome.into_response();
        response.extensions_mut().insert(self);
        response
    }

    pub fn waited(&mut self, name: &'static str, begin: Instant) {
        let end = Instant::now();
        self.stages.push(Stage { name, begin, end });
    }
}

/// Gives the request its id, runs it, and finishes its response.
pub async fn layer(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
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
            asked: if traces::are_made() {
                asked(request)
            } else {
                Asked::default()
            },
        }
    }

    async fn run(self, request: Request, next: Next, metrics: Arc<Metrics>) -> Response {
        let (mut head, body) = request.into_parts();
        let expects_continue = expects_continue(&head.headers);
        let body = DrainableBody::new(body);
        head.extensions.insert(self.clone());
        let response = next
            .run(Request::from_parts(head, Body::new(body.clone())))
            .await;
        let mut response = self.finish(response, &metrics);
        // A caller that was too slow once is not waited for again.
        let timed_out = response.status() == StatusCode::REQUEST_TIMEOUT;
        if timed_out || !body.drain(expects_continue).await {
            close(&mut response);
        }
        response
    }

    /// Writes a failure's envelope and the id, and records the request.
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
        self.record(response.status(), failure, &facts, metrics);
        response
    }

    /// Counts the request, ends its trace and writes its log line.
    fn record(
        &self,
        status: StatusCode,
        failure: Option<Failure>,
        facts: &Facts,
        metrics: &Metrics,
    ) {
        let took = self.started.elapsed();
        let code = failure.map(Failure::code);
        let done = if facts.dry_run { CHECKED } else { PROCESSED };
        let is_known = facts.is_known();
        let publication = facts.publication.as_ref().map(|known| known.name.as_str());
        let trace = traces::answered(
            self.caller.as_ref(),
            &Answered {
                begin: self.started,
                asked: &self.asked,
                path: &self.path,
                status: status.as_u16(),
                request_id: &self.request_id,
                code,
                publication,
                orders: (facts.orders, facts.accepted, facts.rejected),
                stages: &facts.stages,
                is_known,
            },
        );
        let took_of = Took {
            time: took,
            trace_id: trace.id.as_deref().filter(|_| trace.is_sent),
        };
        let let_in = facts.publication.is_some();
        metrics.answered(code.unwrap_or(done), let_in.then_some(took_of));
        // A stranger, also on a publication that anybody may post to, could fill the disk with lines at no cost. A defect of
        // ours is always logged.
        if let Some(code) = code
            && !is_known
            && failure != Some(Failure::Internal)
            && !metrics.strangers_lines.is_written(code)
        {
            return;
        }
        // Counts and names of publications, and where a wrong password came from: nothing that says who ordered what
        // (contract §7).
        tracing::info!(
            request_id = self.request_id,
            method = self.method,
            path = facts.publication.is_none().then_some(self.path.as_str()),
            publication,
            user = facts.login,
            address = facts.refused_address.map(tracing::field::display),
            orders = facts.orders,
            accepted = facts.accepted,
            rejected = facts.rejected,
            dry_run = facts.dry_run.then_some(true),
            after = facts.range.map(|(after, _)| after),
            up_to = facts.range.map(|(_, up_to)| up_to),
            bytes = facts.bytes,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            status = status.as_u16(),
            code,
            trace_id = trace.id,
            "answered"
        );
    }
}

/// For its span.
fn asked(request: &Request) -> Asked {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let forwarded = request.headers().get(X_FORWARDED_PROTO);
    let is_behind_proxy = request.extensions().get::<ViaProxy>().is_some();
    Asked {
        method: known_method(request.method()),
        is_https: request.extensions().get::<OverTls>().is_some()
            || (is_behind_proxy && forwarded.is_some_and(|scheme| scheme == "https")),
        route: route_of(request.uri()),
        host: host.as_ref().map(|host| shown(host.host(), HOST_SHOWN)),
        port: host.as_ref().and_then(Authority::port_u16),
    }
}

/// Strangers think up others.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "",
    }
}

/// What a stranger wrote, cut to so many characters, in ASCII that steers no terminal.
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

/// The one of our two languages that the caller prefers; of equals the first.
pub fn language(headers: &HeaderMap) -> Language {
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

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn_with_state, routing::get};
    use http_body_util::BodyExt;
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
            .layer(from_fn_with_state(Arc::clone(&metrics), layer));
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

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let values = values.iter().copied().map(HeaderValue::from_static);
        values.map(|value| (name.clone(), value)).collect()
    }

    #[test]
    fn of_russian_and_english_the_caller_gets_what_it_prefers() {
        for (values, due) in [
            (&[][..], Language::Ru),
            (&["de, fr;q=0.5"], Language::Ru),
            (&["en"], Language::En),
            (&["EN-us, ru"], Language::En),
            (&["ru-RU, ru;q=0.9, en-US;q=0.8, en;q=0.7"], Language::Ru),
            (&["ru;q=0.5, en;q=0.8"], Language::En),
            (&["de", "en;q=0.1"], Language::En),
            (&["en;q=0"], Language::Ru),
            (&["en;q=nonsense"], Language::Ru),
        ] {
            let headers = headers(&header::ACCEPT_LANGUAGE, values);
            assert_eq!(language(&headers), due, "{values:?}");
        }
    }

    #[test]
    fn a_sane_request_id_is_kept_and_any_other_replaced() {
        let longest: &str = "x".repeat(128).leak();
        for sane in ["1", "0190b5a0-7f3a", "a.b_c:d/e+f=g-h", longest] {
            assert_eq!(request_id(&headers(&X_REQUEST_ID, &[sane])), sane);
        }
        for other in ["", "a b", "a\"b", "x;y", longest.repeat(2).leak()] {
            let id = request_id(&headers(&X_REQUEST_ID, &[other]));
            assert!(id.parse::<Uuid>().is_ok(), "{other}");
        }
    }

    #[test]
    fn what_a_stranger_wrote_is_shown_short_and_harmless() {
        for (text, due) in [
            ("/shop/hs", "/shop/hs"),
            ("1234567890", "1234567890"),
            ("12345678901", "1234567890…"),
            ("\u{1b}[31m", "%1B[31m"),
            ("ж", "%D0%B6"),
        ] {
            assert_eq!(shown(text, 10), due);
        }
    }
}
