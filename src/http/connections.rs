//! Connections: who may have one, for how long, and how it ends. Every caller's time and room is bounded here, so that
//! none takes them from the others (contract §1).

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, http::Request, middleware::from_fn_with_state};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tower::ServiceExt;

use super::{
    App, Peer, canonical, exchange,
    failure::Failure,
    faults::Faults,
    forwarded::sender,
    operator::Operator,
    paced::{Pace, Paced},
    router,
    slots::{Answer, Most, Slot, Slots},
    tls::Tls,
};
use crate::{config, telemetry::metrics::Metrics};

/// How long to wait when the machine has no more sockets to give.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(200);
/// How long, and for how much, a caller whose request was not read to its end may go on sending before we hang up.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024 * 1024;
/// The most that a request's line and headers may take, and what is read of a body at a time.
const BUFFER: usize = 64 * 1024;
/// So many callers who found no place hear of it at the same time; more are hung up on.
const TURNED_AWAY_AT_ONCE: Most = Most {
    all: 64,
    of_a_network: 32,
    of_an_address: 16,
};
/// How long such a one has for its headers.
const TURNED_AWAY_WITHIN: Duration = Duration::from_secs(2);
/// Connections to the operator's listener at the same time.
const CONNECTIONS_OF_OPERATORS: usize = 64;

/// Serves until `shutdown` resolves, then lets running requests finish for at most `config.times.stop`.
/// Returns how many connections were still busy when that time was over.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()>,
) -> usize {
    serve_orders(listener, app, None, tls, shutdown).await
}

/// The same with faults at every sender's wish: for `aqua-orders mock` and nothing else.
pub async fn serve_with_faults(
    listener: TcpListener,
    app: Arc<App>,
    faults: Faults,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()>,
) -> usize {
    serve_orders(listener, app, Some(faults), tls, shutdown).await
}

async fn serve_orders(
    listener: TcpListener,
    app: Arc<App>,
    faults: Option<Faults>,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()>,
) -> usize {
    let config = Arc::clone(&app.config);
    let metrics = Arc::clone(&app.metrics);
    let trusted: Arc<[IpNet]> = config.trusted_proxies.clone().into();
    let most = Most {
        all: config.limits.connections,
        of_a_network: config.limits.connections_per_network,
        of_an_address: config.limits.connections_per_address,
    };
    let slots = Slots::new(most, Arc::clone(&trusted), metrics.connections.clone());
    let way_in = WayIn {
        router: router(app, faults),
        slots,
        trusted,
        tls,
        times: config.times.clone(),
        metrics,
    };
    way_in.serve(listener, shutdown).await
}

/// Serves the operator until `shutdown` resolves. Few connections at a time: an operator and a few machines use it.
pub async fn serve_operator(
    listener: TcpListener,
    operator: Operator,
    shutdown: impl Future<Output = ()>,
) {
    let metrics = Arc::clone(&operator.app.metrics);
    let most = Most {
        all: CONNECTIONS_OF_OPERATORS,
        of_a_network: CONNECTIONS_OF_OPERATORS,
        of_an_address: CONNECTIONS_OF_OPERATORS,
    };
    let slots = Slots::new(most, Arc::default(), Gauge::default());
    let way_in = WayIn {
        slots,
        trusted: Arc::default(),
        tls: None,
        times: config::Times {
            // It is asked until the very end, and nothing of it must hold up the end.
            stop: Duration::ZERO,
            ..operator.app.config.times.clone()
        },
        router: operator.router(),
        metrics,
    };
    way_in.serve(listener, shutdown).await;
}

/// What a listener leads to, and for whom.
struct WayIn {
    router: Router,
    slots: Arc<Slots>,
    trusted: Arc<[IpNet]>,
    tls: Option<Tls>,
    times: config::Times,
    metrics: Arc<Metrics>,
}

impl WayIn {
    async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> usize {
        let Self {
            router,
            slots,
            trusted,
            tls,
            times,
            metrics,
        } = self;
        let turned_away = Slots::new(TURNED_AWAY_AT_ONCE, Arc::default(), Gauge::default());
        let door = Arc::new(Door {
            router,
            protocol: protocol(times.headers),
            trusted,
            tls,
            headers: times.headers,
            pace: Pace {
                patience: times.write,
                each_mib: times.write_mib,
            },
        });
        let closed_door = Arc::new(Door {
            router: Router::new()
                .fallback(async || Failure::Overloaded)
                .layer(from_fn_with_state(metrics, exchange::answer)),
            protocol: {
                let mut protocol = protocol(times.headers.min(TURNED_AWAY_WITHIN));
                protocol.keep_alive(false);
                protocol
            },
            trusted: Arc::default(),
            tls: door.tls.clone(),
            headers: times.headers.min(TURNED_AWAY_WITHIN),
            pace: Pace {
                patience: times.write.min(TURNED_AWAY_WITHIN),
                each_mib: times.write_mib,
            },
        });

        // Every connection holds a receiver: it learns from it that we stop, and we learn when the last one is gone.
        let (stop, stopping) = watch::channel(());
        let mut shutdown = pin!(shutdown);
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                    Err(error) => {
                        survive(&error).await;
                        continue;
                    }
                },
            };
            let (door, slot) = match slots.take(peer) {
                Some(slot) => (&door, slot),
                None => match turned_away.take(peer) {
                    Some(slot) => (&closed_door, slot),
                    None => continue,
                },
            };
            let (door, stopping) = (Arc::clone(door), stopping.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = door.receive(stream, peer, stopping, &slot) => {}
                    () = slot.is_cut_off() => {}
                }
            });
        }
        drop((listener, stopping));
        stop.send_replace(());
        match timeout(times.stop, stop.closed()).await {
            Ok(()) => 0,
            Err(_elapsed) => stop.receiver_count(),
        }
    }
}

fn protocol(headers: Duration) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_buf_size(BUFFER)
        // A caller that closes its sending side after the request still gets its answer.
        .half_close(true);
    protocol
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

/// What lies behind a connection.
struct Door {
    router: Router,
    protocol: http1::Builder,
    trusted: Arc<[IpNet]>,
    tls: Option<Tls>,
    headers: Duration,
    pace: Pace,
}

impl Door {
    async fn receive(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        stopping: watch::Receiver<()>,
        slot: &Slot,
    ) {
        // An answer must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let Some(tls) = &self.tls else {
            return self.converse(stream, peer, stopping, slot).await;
        };
        match timeout(self.headers, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.converse(stream, peer, stopping, slot).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS with this caller"),
            Err(_elapsed) => tracing::debug!("a caller was too slow for TLS"),
        }
    }

    /// One connection, from its first request to its end.
    async fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: IpAddr,
        mut stopping: watch::Receiver<()>,
        slot: &Slot,
    ) {
        let stream = Paced::new(stream, self.pace);
        let service = service_fn(move |mut request: Request<Incoming>| {
            if let Some(uri) = canonical(request.uri()) {
                *request.uri_mut() = uri;
            }
            let sender = sender(peer, request.headers(), &self.trusted);
            request.extensions_mut().insert(Peer(sender));
            let in_slot = slot.request();
            let request = request.map(|body| Body::new(in_slot.body(body)));
            let answer = self.router.clone().oneshot(request);
            Box::pin(async {
                let answer = answer.await.map_err(|never: Infallible| never)?;
                Ok::<_, Infallible>(answer.map(|body| Answer::new(body, in_slot)))
            })
        });
        let mut connection = self
            .protocol
            .serve_connection(TokioIo::new(stream), service);
        let mut told = false;
        let mut must_go = pin!(slot.must_go());
        let ended = loop {
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
                Ok(()) = stopping.changed() => told = true,
                () = &mut must_go, if !told => told = true,
            }
            Pin::new(&mut connection).graceful_shutdown();
        };
        let stream = connection.into_parts().io.into_inner();
        // A caller that was too slow to send hears why; one that does not read is not waited for again.
        let is_deaf = ended.as_ref().is_err_and(is_timed_out);
        if let Err(error) = ended {
            tracing::debug!(%error, "connection broken off");
        }
        // A stop waits for answers, not for callers who keep idle connections open.
        if !told && !is_deaf {
            tokio::select! {
                () = linger(stream) => {}
                _ = stopping.changed() => {}
            }
        }
    }
}

fn is_timed_out(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Closes our side and waits for the caller to close theirs. Hanging up on a caller that still sends a body would
/// reset the connection, and the answer that says why would be lost on its way.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let mut nowhere = tokio::io::sink();
        // Whatever comes of it, the connection is over.
        let _ = timeout(LINGER_TIME, tokio::io::copy(&mut rest, &mut nowhere)).await;
    }
}
