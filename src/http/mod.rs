//! The way in: axum, and hyper as a server, live here and nowhere else (contract §1).

mod app;
mod back_office;
pub mod body;
mod bounds;
mod console;
pub mod description;
mod dry_run;
mod exchange;
mod failure;
pub mod listener;
pub mod login;
pub mod mock;
pub mod operator;
mod orders;
pub mod path;
mod pushed;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    handler::Handler,
    middleware::from_fn_with_state,
    response::Response,
    routing::{MethodRouter, get, post},
};
use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpListener;
use tower::util::MapResponseLayer;
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, predicate::SizeAbove},
};

pub use self::app::App;
use self::{
    bounds::OPERATOR_CONNECTIONS,
    failure::{Failure, Methods},
    listener::{Listener, slots::Slots, tls::Tls},
    mock::{Faults, Mock},
    operator::Operator,
    path::{
        CLIENTS_ROUTE, DISTRICTS_ROUTE, FEED_ROUTE, ORDERS_ROUTE, PRODUCTS_ROUTE, PUSHED_ROUTE,
        RESULTS_ROUTE,
    },
};
use crate::{
    catalogue::Subject,
    config::{self, Limits},
    telemetry::metrics::{CHECKED, Metrics, PROCESSED},
};

/// A smaller response fits into one packet anyway.
const WORTH_COMPRESSING: u64 = 1024;

/// Serves senders until `shutdown` resolves, then lets running requests finish for at most `config.times.stop`.
/// Returns how many connections were still busy when that time was over. Faults are the mock's alone.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    faults: Option<Faults>,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()>,
) -> usize {
    let config = app.config();
    let metrics = Arc::clone(&app.metrics);
    let trusted_proxies: Arc<[IpNet]> = config.trusted_proxies.clone().into();
    let most = [
        config.limits.connections,
        config.limits.connections_per_network,
        config.limits.connections_per_address,
    ];
    let slots = Slots::new(
        most,
        Arc::clone(&trusted_proxies),
        metrics.connections.clone(),
    );
    let senders = Listener {
        router: senders_router(Arc::clone(&app), faults),
        overloaded: overloaded_router(metrics),
        slots,
        trusted_proxies,
        tls,
        times: config.times.clone(),
    };
    let shutdown = async {
        shutdown.await;
        app.stopping.send_replace(true);
    };
    senders.serve(listener, shutdown).await
}

/// Serves the operator until `shutdown` resolves.
pub async fn serve_operator(
    listener: TcpListener,
    operator: Operator,
    shutdown: impl Future<Output = ()>,
) {
    let config = operator.app.config();
    let trusted_proxies: Arc<[IpNet]> = config.operator.trusted_proxies.clone().into();
    let operators = Listener {
        overloaded: overloaded_router(Arc::clone(&operator.app.metrics)),
        slots: Slots::new(
            [OPERATOR_CONNECTIONS; 3],
            Arc::clone(&trusted_proxies),
            Gauge::default(),
        ),
        trusted_proxies,
        tls: operator.tls.clone(),
        times: config::Times {
            // It is asked until the very end, and nothing of it must hold up the end.
            stop: Duration::ZERO,
            ..config.times.clone()
        },
        router: operator_router(operator),
    };
    operators.serve(listener, shutdown).await;
}

// A request passes the layers from the last to the first.

fn senders_router(app: Arc<App>, faults: Option<Faults>) -> Router {
    let config = app.config();
    let limits = &config.limits;
    let failures = Failure::all(limits).map(Failure::code);
    app.metrics
        .expect([PROCESSED, CHECKED].into_iter().chain(failures));
    let docs = if config.operator.public_docs {
        docs_router(limits)
    } else {
        Router::new()
    };
    let mut orders = post_only(orders::receive);
    if let Some(faults) = faults {
        let mock = Arc::new(Mock::new(faults, &app));
        orders = orders.route_layer(from_fn_with_state(mock, mock::inject));
    }
    let feed = get(back_office::feed::read)
        .post(back_office::reference::receive)
        .layer(Extension(Subject::Orders))
        .fallback(other_method(Methods::GetAndPost));
    let results = post(back_office::results::receive).fallback(other_method(Methods::Post));
    let pushed = post(pushed::receive).fallback(other_method(Methods::Post));
    let orders = Router::new()
        .route(ORDERS_ROUTE, orders)
        .route(FEED_ROUTE, feed)
        .route(RESULTS_ROUTE, results)
        .route(PUSHED_ROUTE, pushed)
        .route(PRODUCTS_ROUTE, import_only(Subject::Products))
        .route(DISTRICTS_ROUTE, import_only(Subject::Districts))
        .route(CLIENTS_ROUTE, import_only(Subject::Clients))
        .fallback(failure::not_found);
    with_exchange(orders, app).merge(docs)
}

fn operator_router(operator: Operator) -> Router {
    let app = Arc::clone(&operator.app);
    let config = app.config();
    let dry_run = Router::new().route(ORDERS_ROUTE, post_only(orders::receive_dry_run));
    let dry_run = with_exchange(dry_run, Arc::clone(&app));
    let console = if config.operator.users.is_empty() {
        Router::new()
    } else {
        compressing(console::router(&app), CompressionLevel::Default)
    };
    Router::new()
        .route("/", get(operator::welcome))
        .route("/healthz", get(operator::alive))
        .route("/readyz", get(operator::ready))
        .route("/metrics", get(operator::metrics))
        .fallback(operator::nothing_here)
        .with_state(operator)
        .merge(dry_run)
        .merge(docs_router(&config.limits))
        .merge(console)
        .layer(from_fn_with_state(app, operator::only_by_its_names))
}

/// The pages for integrators, for either listener.
fn docs_router(limits: &Limits) -> Router {
    compressing(description::router(limits), CompressionLevel::Default)
}

/// What connections over the limit get, whatever they ask for.
fn overloaded_router(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .fallback(async || Failure::Overloaded)
        .layer(from_fn_with_state(metrics, exchange::layer))
}

/// Other methods get a 405 that explains the endpoint.
fn post_only<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    post(handler).fallback(other_method(Methods::Orders))
}

/// Takes a file of reference data.
fn import_only(subject: Subject) -> MethodRouter<Arc<App>> {
    post(back_office::reference::receive)
        .layer(Extension(subject))
        .fallback(other_method(Methods::Post))
}

/// Any other method, for every publication alike.
fn other_method(methods: Methods) -> impl Handler<((),), Arc<App>> {
    move || async move { Failure::MethodNotAllowed(methods) }
}

/// What senders' requests have in common: an id, a log line, an envelope for failures, compression.
fn with_exchange(router: Router<Arc<App>>, app: Arc<App>) -> Router {
    let metrics = Arc::clone(&app.metrics);
    let router = router.layer(from_fn_with_state(metrics, exchange::layer));
    compressing(router, CompressionLevel::Fastest).with_state(app)
}

/// Compresses responses for whoever takes them so. Where a caller takes neither that nor plain text (`identity;q=0`), the layer
/// would turn any status into 406, a stored batch's too: it is plain text then, under its own status.
fn compressing<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    quality: CompressionLevel,
) -> Router<S> {
    let compression = CompressionLayer::new()
        .quality(quality)
        .compress_when(SizeAbove::new(WORTH_COMPRESSING));
    let keep_status = MapResponseLayer::new(|mut response: Response| {
        let status = response.status();
        response.extensions_mut().insert(status);
        response
    });
    let restore_status = MapResponseLayer::new(|mut response: http::Response<_>| {
        if let Some(status) = response.extensions_mut().remove() {
            *response.status_mut() = status;
        }
        response
    });
    router.layer((restore_status, compression, keep_status))
}
