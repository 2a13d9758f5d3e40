//! What systemd hands over and wants to hear: sockets that it opened (socket activation), readiness, a status text, the
//! watchdog. Started by anything else, nothing of it happens.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use listenfd::ListenFd;
use sd_notify::NotifyState;

use crate::cli::{CommandError, because};

/// Listening sockets that systemd opened for us. They outlive us, so whoever connects while we are started anew waits and
/// is not refused.
pub struct Sockets(Vec<(TcpListener, SocketAddr)>);

impl Sockets {
    /// Takes them out of the environment; before there are threads, for that changes the environment.
    pub fn handed_over() -> Result<Self, CommandError> {
        let unusable = |error| because("a socket that systemd hands over cannot be used", &error);
        let mut handed_over = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..handed_over.len() {
            let Some(socket) = handed_over.take_tcp_listener(index).map_err(unusable)? else {
                continue;
            };
            socket.set_nonblocking(true).map_err(unusable)?;
            let address = socket.local_addr().map_err(unusable)?;
            sockets.push((socket, address));
        }
        Ok(Self(sockets))
    }

    /// None, whatever the environment says.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    pub fn listen_on(&self, address: SocketAddr) -> bool {
        self.0.iter().any(|(_, theirs)| *theirs == address)
    }

    /// The one that listens there.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let index = self.0.iter().position(|(_, theirs)| *theirs == address)?;
        Some(self.0.swap_remove(index).0)
    }

    /// A socket that nobody serves would let callers connect and wait for ever.
    pub fn refuse_left_over(&self) -> Result<(), CommandError> {
        match self.0.first() {
            None => Ok(()),
            Some((_, address)) => Err(format!(
                "systemd hands over a socket on {address}, and no setting listens there: ListenStream= of the socket unit \
                 must be `listen` (AQUA_LISTEN), or `listen` in [operator] (AQUA_OPERATOR_LISTEN)"
            )),
        }
    }
}

/// Orders are taken from now on, or still after a reload.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// For as long as systemd's watchdog waits for it, it hears that we live: where all threads hang, it starts us anew.
pub fn live() {
    if let Some(within) = sd_notify::watchdog_enabled() {
        tokio::spawn(feed_watchdog(within / 2));
    }
}

/// The settings are read again; [`ready`] says when that is done.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd cannot be told"),
    }
}

pub fn status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

pub fn stopping() {
    let text = "stopping: what was taken is finished";
    notify(&[NotifyState::Stopping, NotifyState::Status(text)]);
}

async fn feed_watchdog(every: Duration) {
    loop {
        notify(&[NotifyState::Watchdog]);
        tokio::time::sleep(every).await;
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
