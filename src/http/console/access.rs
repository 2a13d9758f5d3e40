//! What every request and response of the console has, whoever makes it: no page of another site can make an operator's browser
//! do something, nothing is kept by the browser, nothing from elsewhere is loaded or run.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    Console,
    page::Navigation,
    refusal::Refusal,
    session::{Desk, Login},
    texts::language,
};
use crate::http::listener::address::ViaProxy;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Only our own files are loaded, run or fetched, and forms lead here alone; nobody puts the pages into a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Not no-referrer: a form's `Origin` would be null then.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The outermost layer: refusals become pages, every response has its headers and its line in the log.
pub(super) async fn finish(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let language = language(request.headers());
    let method = request.method().clone();
    // It never has a phone or a name, and the query, which is not shown, has neither.
    let path = request.uri().path().to_owned();
    // In a task of its own: a panic becomes a page, and what somebody who hangs up has begun is done to its end.
    let running = tokio::spawn(next.run(request)).await;
    let mut response = running.unwrap_or_else(|_panic| Refusal::Defect.into_response());
    let login = response.extensions_mut().remove::<Login>();
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        if let Refusal::Away(why) = &refusal {
            tracing::error!(error = %why, "the console could not ask the database");
        }
        let headers = std::mem::take(response.headers_mut());
        let desk = response.extensions_mut().remove::<Desk>();
        let navigation = desk.map(|desk| Navigation::of(&desk, None));
        response = refusal.page(language, navigation);
        response.headers_mut().extend(headers);
    }
    for (name, value) in HEADERS {
        let entry = response.headers_mut().entry(name);
        entry.or_insert(HeaderValue::from_static(value));
    }
    let is_known = login.is_some();
    // A stranger could fill the disk with lines at no cost.
    if is_known || console.app.metrics.strangers_lines.is_written("console") {
        tracing::info!(
            user = login.map(|login| login.0),
            method = method.as_str(),
            path = is_known.then_some(path),
            status = response.status().as_u16(),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "console"
        );
    }
    response
}

/// On an address that is not loopback passwords and cookies come over TLS, ours or a proxy's.
pub(super) async fn require_tls(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let config = console.app.config();
    let operator = &config.operator;
    let is_bare = operator.tls.is_none()
        && operator
            .listen
            .is_some_and(|listen| !listen.ip().is_loopback())
        && request.extensions().get::<ViaProxy>().is_none();
    if is_bare {
        return Err(Refusal::PlainText);
    }
    Ok(next.run(request).await)
}

/// Whatever may change something comes from a page of ours.
pub(super) async fn require_own_origin(request: Request, next: Next) -> Result<Response, Refusal> {
    let changes_nothing = matches!(*request.method(), Method::GET | Method::HEAD);
    if changes_nothing || is_own_origin(request.headers()) {
        Ok(next.run(request).await)
    } else {
        Err(Refusal::ForeignOrigin)
    }
}

fn is_own_origin(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    if let Some(site) = sites.next() {
        return site == "same-origin" && sites.next().is_none();
    }
    // A browser sends it over TLS and on this machine alone.
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return false;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let origin = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    match (origin, host) {
        (Some(("http" | "https", origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_comes_from_our_own_pages_alone() {
        let (site, origin, host) = (&SEC_FETCH_SITE, &header::ORIGIN, &header::HOST);
        for (headers, is_own) in [
            (&[(site, "same-origin")][..], true),
            (
                &[(site, "same-origin"), (origin, "https://evil.example")],
                true,
            ),
            (
                &[(site, "same-site"), (host, "a"), (origin, "http://a")],
                false,
            ),
            (
                &[(site, "cross-site"), (host, "a"), (origin, "http://a")],
                false,
            ),
            (&[(site, "none"), (host, "a"), (origin, "http://a")], false),
            (&[(site, "same-origin"), (site, "same-origin")], false),
            (&[(host, "a:1"), (origin, "http://a:1")], true),
            (&[(host, "A:1"), (origin, "https://a:1")], true),
            (&[(host, "a:1"), (origin, "http://a")], false),
            (&[(host, "a"), (origin, "http://a.evil.example")], false),
            (&[(host, "a"), (origin, "null")], false),
            (
                &[(host, "a"), (origin, "http://a"), (origin, "http://a")],
                false,
            ),
            (&[(host, "a")], false),
            (&[(origin, "http://a")], false),
            (&[], false),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| ((*name).clone(), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(is_own_origin(&headers), is_own, "{headers:?}");
        }
    }
}
