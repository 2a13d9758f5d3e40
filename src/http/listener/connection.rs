//! One connection, from TLS to the last byte of its last response.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, watch},
    time::timeout,
};
use tower::ServiceExt;

use super::{
    address::{OverTls, SenderAddress, ViaProxy, is_in, sender},
    pace::{Pace, Paced},
    slots::Slot,
    tls::Tls,
};
use crate::http::{
    bounds::{LAST_WORDS, LINGER_BYTES, READ_BUFFER},
    path::canonical,
};

pub(super) fn protocol(headers: Duration) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_buf_size(READ_BUFFER)
        // A caller that closes its sending side after the request still gets its response.
        .half_close(true);
    protocol
}

/// What the connections of a listener lead to, and under which terms.
pub(super) struct Endpoint {
    pub router: Router,
    pub protocol: http1::Builder,
    pub trusted_proxies: Arc<[IpNet]>,
    pub tls: Option<Tls>,
    /// How long TLS may take.
    pub headers: Duration,
    pub pace: Pace,
}

impl Endpoint {
    pub async fn serve(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        stopping: watch::Receiver<()>,
        slot: &Slot,
    ) {
        // A response must not wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let Some(tls) = &self.tls else {
            return self.serve_requests(stream, peer, stopping, slot).await;
        };
        match timeout(self.headers, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve_requests(stream, peer, stopping, slot).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS with this caller"),
            Err(_elapsed) => tracing::debug!("a caller was too slow for TLS"),
        }
    }

    /// One request, whose response keeps the connection's slot.
    async fn respond(
        &self,
        mut request: Request<Incoming>,
        peer: IpAddr,
        slot: &Slot,
    ) -> Result<Response<Body>, Infallible> {
        if let Some(uri) = canonical(request.uri()) {
            *request.uri_mut() = uri;
        }
        let sender = sender(peer, request.headers(), &self.trusted_proxies);
        request.extensions_mut().insert(SenderAddress(sender));
        if self.tls.is_some() {
            request.extensions_mut().insert(OverTls);
        }
        if is_in(&self.trusted_proxies, peer) {
            request.extensions_mut().insert(ViaProxy);
        }
        let active = slot.request();
        let request = request.map(|body| Body::new(active.body(body)));
        let response = self.router.clone().oneshot(request).await?;
        Ok(response.map(|body| active.response_body(body)))
    }

    async fn serve_requests(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: IpAddr,
        mut stopping: watch::Receiver<()>,
        slot: &Slot,
    ) {
        let stream = Paced::new(stream, self.pace);
        let requests = Notify::new();
        let service = service_fn(|request| {
            requests.notify_one();
            Box::pin(self.respond(request, peer, slot))
        });
        let mut connection = self
            .protocol
            .serve_connection(TokioIo::new(stream), service);
        let mut is_closing = false;
        let mut evicted = pin!(slot.evicted());
        let ended = loop {
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
                Ok(()) = stopping.changed(), if !is_closing => {
                    is_closing = true;
                    // hyper would hang up on a caller that has connected and whose first request is still on its way.
                    tokio::select! {
                        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
                        _ = timeout(LAST_WORDS, requests.notified()) => {}
                    }
                }
                () = &mut evicted, if !is_closing => is_closing = true,
            }
            Pin::new(&mut connection).graceful_shutdown();
        };
        let stream = connection.into_parts().io.into_inner();
        // A caller that was too slow to send is told why; one that does not read is not waited for again.
        let is_deaf = ended.as_ref().is_err_and(is_timed_out);
        if let Err(error) = ended {
            tracing::debug!(%error, "connection broken off");
        }
        // A stop waits for responses, not for callers who keep idle connections open.
        if !is_closing && !is_deaf {
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
/// reset the connection, and the response that says why would be lost.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let mut nowhere = tokio::io::sink();
        // Whatever comes of it, the connection is over.
        let _ = timeout(LAST_WORDS, tokio::io::copy(&mut rest, &mut nowhere)).await;
    }
}
