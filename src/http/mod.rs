//! The way in: axum and hyper live here and nowhere else (contract §1).

pub mod auth;
mod body;
mod exchange;
mod failure;
mod orders;

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Request, Uri, uri::PathAndQuery},
    middleware::from_fn,
    routing::post,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tower::ServiceExt;
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, predicate::SizeAbove},
};

use self::auth::Gate;
use crate::{config::Config, intake::Intake};

/// What the handlers work with.
#[derive(Debug)]
pub struct App {
    /// Limits and times.
    pub config: Arc<Config>,
    /// Who may come in.
    pub gate: Gate,
    /// Where batches go. Empty while the database is not ready yet: then they are answered 503.
    pub intake: Arc<OnceLock<Intake>>,
}

/// Who is on the other end of the connection.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// The fixed part of the orders' address, as the router knows it.
const ORDERS: [&str; 3] = ["hs", "AquaDeliveri", "getOrdersURL"];

/// Below this an answer fits into one packet anyway.
const WORTH_COMPRESSING: u64 = 1024;

/// Every route and layer. A request passes the layers from the last to the first.
fn router(app: App) -> Router {
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(WORTH_COMPRESSING));
    Router::new()
        .route(
            "/{publication}/hs/AquaDeliveri/getOrdersURL",
            post(orders::receive).fallback(failure::method_not_allowed),
        )
        .fallback(failure::not_found)
        .layer(from_fn(exchange::answer))
        .layer(compression)
        .with_state(Arc::new(app))
}

/// The orders' address spelled as the router has it, whatever case, escapes, trailing slash and query it came with.
/// `None` for any other address. The publication stays as it came.
fn canonical(uri: &Uri) -> Option<Uri> {
    let mut segments = uri.path().strip_prefix('/')?.split('/');
    let publication = segments.next()?;
    for fixed in ORDERS {
        let segment = percent_decode_str(segments.next()?).decode_utf8().ok()?;
        if !segment.eq_ignore_ascii_case(fixed) {
            return None;
        }
    }
    match (segments.next(), segments.next()) {
        (None | Some(""), None) => {}
        _ => return None,
    }
    let path = format!("/{publication}/{}", ORDERS.join("/"));
    Some(PathAndQuery::try_from(path).ok()?.into())
}

/// The publication's name as the address has it. Where its escapes are no UTF-8 it is a name that nobody bears.
fn publication_of(uri: &Uri) -> String {
    let segment = uri.path().split('/').nth(1).unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// How long to wait when the machine has no more sockets to give.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(200);
/// How long, and for how much, a caller whose request was not read to its end may go on sending before we hang up.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024 * 1024;

/// Serves until `shutdown` resolves, then lets running requests finish for at most `config.times.stop`.
/// Returns how many connections were still busy when that time was over.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) -> usize {
    let times = app.config.times.clone();
    let router = router(app);
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(times.headers)
        // A caller that closes its sending side after the request still gets its answer.
        .half_close(true);

    // Every connection holds a receiver: it learns from it that we stop, and we learn when the last one is gone.
    let (stop, stopping) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let peer = Peer(peer.ip().to_canonical());
                    tokio::spawn(converse(stream, peer, protocol.clone(), router.clone(), stopping.clone()));
                }
                Err(error) => survive(&error).await,
            },
        }
    }
    drop((listener, stopping));
    stop.send_replace(());
    match timeout(times.stop, stop.closed()).await {
        Ok(()) => 0,
        Err(_elapsed) => stop.receiver_count(),
    }
}

/// A caller that left before it was welcomed is its own affair; a lack of sockets or memory may pass.
async fn survive(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    ) {
        tracing::warn!(%error, "cannot accept connections");
        sleep(OUT_OF_SOCKETS).await;
    }
}

/// One connection, from its first request to its end.
async fn converse(
    stream: TcpStream,
    peer: Peer,
    protocol: http1::Builder,
    router: Router,
    mut stopping: watch::Receiver<()>,
) {
    // An answer must not wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(uri) = canonical(request.uri()) {
            *request.uri_mut() = uri;
        }
        request.extensions_mut().insert(peer);
        let answer = router.clone().oneshot(request.map(Body::new));
        Box::pin(async { answer.await.map_err(|never: Infallible| never) })
    });
    let mut connection = protocol.serve_connection(TokioIo::new(stream), service);
    let mut told = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
            Ok(()) = stopping.changed() => told = true,
        }
        Pin::new(&mut connection).graceful_shutdown();
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection broken off");
    }
    let stream = connection.into_parts().io.into_inner();
    // A stop waits for answers, not for callers who keep idle connections open.
    if !told {
        tokio::select! {
            () = linger(stream) => {}
            _ = stopping.changed() => {}
        }
    }
}

/// Closes our side and waits for the caller to close theirs. Hanging up on a caller that still sends a body would
/// reset the connection, and the answer that says why would be lost on its way.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let mut nowhere = tokio::io::sink();
        // Whatever comes of it, the connection is over.
        let _ = timeout(LINGER_TIME, tokio::io::copy(&mut rest, &mut nowhere)).await;
    }
}
