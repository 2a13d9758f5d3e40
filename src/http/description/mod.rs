//! What an integrator reads and tries: `/docs`, `/try` and `/openapi.json`. The pages fetch the description and lay it out,
//! so they say what it says; they load nothing from elsewhere.

mod answer;
mod back_office;
mod openapi;
mod operation;
mod schema;
mod sent;

pub use self::{openapi::document, operation::EXAMPLE_REQUEST};
use crate::config::Limits;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Paths, content types and texts.
const FILES: [(&str, &str, &str); 7] = [
    ("/docs", HTML, include_str!("pages/docs.html")),
    ("/docs/docs.js", SCRIPT, include_str!("pages/docs.js")),
    ("/docs/page.css", CSS, include_str!("pages/page.css")),
    ("/docs/page.js", SCRIPT, include_str!("pages/page.js")),
    ("/docs/icon.svg", SVG, include_str!("pages/icon.svg")),
    ("/try", HTML, include_str!("pages/try.html")),
    ("/docs/try.js", SCRIPT, include_str!("pages/try.js")),
];

/// Only our own files are loaded, run or fetched; nobody puts the pages into a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // A new version of the program is a new version of its pages.
    (header::CACHE_CONTROL, "no-cache"),
];

/// The pages, and the description with these limits.
pub fn router(limits: &Limits) -> Router {
    let file = |kind: &'static str, text: Bytes| {
        get(move || {
            let text = text.clone();
            async move { answer(kind, text) }
        })
    };
    let mut router = Router::new();
    for (path, kind, text) in FILES {
        router = router.route(path, file(kind, Bytes::from_static(text.as_bytes())));
    }
    match document(limits) {
        Ok(document) => router = router.route("/openapi.json", file(JSON, document.into())),
        Err(error) => tracing::error!(%error, "openapi.json could not be written"),
    }
    router
}

fn answer(kind: &'static str, text: Bytes) -> Response {
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
