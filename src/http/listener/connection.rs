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

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tower::ServiceExt;

use super::{
    address::{SenderAddress, sender},
    pace::{Pace, Paced},
    slots::{Answer, Slot},
    tls::Tls,
};
use crate::http::path::canonical;

/// How long, and for how much, a caller whose request was not read to its end may go on sending before we hang up.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 * 1024 * 1024;
/// The most that a request's line and headers may take, and what is read of a body at a time.
const BUFFER: usize = 64 * 1024;

pub(super) fn protocol(headers: Duration) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_buf_size(BUFFER)
        // A caller that closes its sending side after the request still gets its answer.
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
    pub async fn receive(
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
            let sender = sender(peer, request.headers(), &self.trusted_proxies);
            request.extensions_mut().insert(SenderAddress(sender));
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
