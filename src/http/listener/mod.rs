//! Connections: who may have one, for how long, and how it ends. What a caller can take up of them is bounded here, so that no
//! caller takes them from the others (contract §1).

pub mod address;
mod connection;
mod pace;
pub(super) mod slots;
pub mod tls;

use std::{io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

use self::{
    connection::{Endpoint, protocol},
    pace::Pace,
    slots::Slots,
    tls::Tls,
};
use crate::{
    config,
    http::bounds::{LAST_WORDS, OVERLOADED_AT_ONCE},
};

/// How long to wait when the machine has no more sockets to give.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(200);

/// Everything one listener needs.
pub(super) struct Listener {
    pub router: Router,
    /// What connections over the limit get.
    pub overloaded: Router,
    pub slots: Arc<Slots>,
    pub trusted_proxies: Arc<[IpNet]>,
    pub tls: Option<Tls>,
    pub times: config::Times,
}

impl Listener {
    /// Serves until `shutdown` resolves, then lets running requests finish for at most `times.stop`.
    /// Returns how many connections were still busy when that time was over.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> usize {
        let times = self.times;
        let endpoint = Arc::new(Endpoint {
            router: self.router,
            protocol: protocol(times.headers),
            trusted_proxies: self.trusted_proxies,
            tls: self.tls.clone(),
            headers: times.headers,
            pace: Pace {
                patience: times.write,
                each_mib: times.write_mib,
            },
        });
        let short_time = times.headers.min(LAST_WORDS);
        let overloaded = Arc::new(Endpoint {
            router: self.overloaded,
            protocol: {
                let mut protocol = protocol(short_time);
                protocol.keep_alive(false);
                protocol
            },
            trusted_proxies: Arc::default(),
            tls: self.tls,
            headers: short_time,
            pace: Pace {
                patience: times.write.min(LAST_WORDS),
                each_mib: times.write_mib,
            },
        });
        let overload_slots = Slots::new(OVERLOADED_AT_ONCE, Arc::default(), Gauge::default());

        // Every connection holds a receiver: it learns from it that we stop, and we learn when the last one is gone.
        let (stop, stopping) = watch::channel(());
        let mut shutdown = pin!(shutdown);
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(&listener) => accepted,
            };
            let (endpoint, slot) = match self.slots.take(peer) {
                Some(slot) => (&endpoint, slot),
                None => match overload_slots.take(peer) {
                    Some(slot) => (&overloaded, slot),
                    None => continue,
                },
            };
            let (endpoint, stopping) = (Arc::clone(endpoint), stopping.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = endpoint.serve(stream, peer, stopping, &slot) => {}
                    () = slot.cut_off() => {}
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

/// The next connection. A caller that left before it was accepted is its own affair; a lack of sockets or memory may pass.
async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip().to_canonical()),
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
                ) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                sleep(OUT_OF_SOCKETS).await;
            }
        }
    }
}
