//! The way in: axum and hyper live here and nowhere else (contract §1).

mod answer;
pub mod auth;
pub mod body;
pub mod came;
mod connections;
mod docs;
mod exchange;
mod failure;
pub mod faults;
pub mod forwarded;
pub mod openapi;
pub mod operator;
mod orders;
mod paced;
mod slots;
mod throttle;
pub mod tls;

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    handler::Handler,
    http::{Uri, uri::PathAndQuery},
    middleware::from_fn_with_state,
    routing::{MethodRouter, post},
};
use percent_encoding::percent_decode_str;
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, predicate::SizeAbove},
};

pub use self::connections::{serve, serve_operator, serve_with_faults};
use self::{
    auth::Gate,
    body::Bodies,
    failure::Failure,
    faults::{Faults, Switches},
};
use crate::{
    config::Config,
    intake::Intake,
    order::invisible::is_invisible,
    telemetry::metrics::{CHECKED, Metrics, PROCESSED},
};

/// What the handlers work with.
#[derive(Debug)]
pub struct App {
    /// Limits and times.
    pub config: Arc<Config>,
    /// Who may come in.
    pub gate: Gate,
    /// Where batches go. Empty while the database is not ready yet: then they are answered 503.
    pub intake: Arc<OnceLock<Intake>>,
    /// Where bodies are read and kept meanwhile.
    pub bodies: Bodies,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Whose request it is: who is on the other end of the connection, or whom a trusted proxy there names.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// The fixed part of the orders' address, as the router knows it.
const ORDERS: [&str; 3] = ["hs", "AquaDeliveri", "getOrdersURL"];
/// The same with the publication before it.
const ORDERS_ROUTE: &str = "/{publication}/hs/AquaDeliveri/getOrdersURL";

/// Below this an answer fits into one packet anyway.
const WORTH_COMPRESSING: u64 = 1024;

/// Every route and layer. A request passes the layers from the last to the first. Faults are the mock's alone.
fn router(app: Arc<App>, faults: Option<Faults>) -> Router {
    let failures = Failure::all(&app.config.limits).map(Failure::code);
    let outcomes = [PROCESSED, CHECKED].into_iter().chain(failures);
    app.metrics.expect(outcomes);
    let mut orders = orders_at(orders::receive);
    if let Some(faults) = faults {
        let switches = Arc::new(Switches::new(faults, &app));
        orders = orders.route_layer(from_fn_with_state(switches, faults::strike));
    }
    let docs = if app.config.operator.public_docs {
        docs::router(&app.config.limits)
    } else {
        Router::new()
    };
    layered(
        Router::new()
            .route(ORDERS_ROUTE, orders)
            .fallback(failure::not_found),
        app,
    )
    .merge(docs)
}

/// POST to a handler, and a kind word for whoever comes otherwise.
fn orders_at<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    post(handler).fallback(failure::method_not_allowed)
}

/// What every address of senders has: an id, a log line, an envelope for failures, compression.
fn layered(router: Router<Arc<App>>, app: Arc<App>) -> Router {
    let metrics = Arc::clone(&app.metrics);
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(WORTH_COMPRESSING));
    router
        .layer(from_fn_with_state(metrics, exchange::answer))
        .layer(compression)
        .with_state(app)
}

/// A request's target spelled as the router has it. `None` where it is spelled so already.
///
/// Several slashes are one, and slashes and blanks at the end are nothing: addresses are put together and copied by hand. The
/// fixed part of the orders' path may have any case and escapes. The publication and the query stay as they came.
#[must_use]
pub fn canonical(uri: &Uri) -> Option<Uri> {
    let path = without_blanks_at_its_end(uri.path().strip_prefix('/')?);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let is_the_orders = {
        let mut fixed = segments.clone().skip(1);
        ORDERS.iter().all(|name| {
            fixed
                .next()
                .is_some_and(|segment| is_spelled(segment, name))
        }) && fixed.next().is_none()
    };
    let mut spelled = String::with_capacity(uri.path().len());
    if is_the_orders {
        let publication = segments.next().unwrap_or_default();
        for segment in [publication].into_iter().chain(ORDERS) {
            spelled.push('/');
            spelled.push_str(segment);
        }
    } else {
        for segment in segments {
            spelled.push('/');
            spelled.push_str(segment);
        }
        if spelled.is_empty() {
            spelled.push('/');
        }
    }
    if spelled == uri.path() {
        return None;
    }
    if let Some(query) = uri.query() {
        spelled.push('?');
        spelled.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(spelled).ok()?);
    Uri::from_parts(parts).ok()
}

fn is_spelled(segment: &str, name: &str) -> bool {
    let segment = percent_decode_str(segment).decode_utf8();
    segment.is_ok_and(|segment| segment.eq_ignore_ascii_case(name))
}

/// Cuts blanks and slashes off a path's end, also escaped blanks: what a copied address brings along.
fn without_blanks_at_its_end(mut path: &str) -> &str {
    let is_blank = |char: char| char.is_whitespace() || is_invisible(char);
    // One character of those takes up to three bytes, each escaped as `%20` is.
    let escaped_blank = |path: &str| {
        [3, 6, 9].into_iter().find(|length| {
            let at = path.len().checked_sub(*length);
            let Some(escaped) = at.and_then(|at| path.get(at..)) else {
                return false;
            };
            let Ok(text) = percent_decode_str(escaped).decode_utf8() else {
                return false;
            };
            escaped.starts_with('%') && text.chars().count() == 1 && text.chars().all(is_blank)
        })
    };
    loop {
        path = path.trim_end_matches(|char| char == '/' || is_blank(char));
        match escaped_blank(path) {
            Some(length) => path = path.get(..path.len() - length).unwrap_or_default(),
            None => return path,
        }
    }
}

/// The publication's name as the address has it. Where its escapes are no UTF-8 it is a name that nobody bears.
fn publication_of(uri: &Uri) -> String {
    let segment = uri.path().split('/').nth(1).unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
