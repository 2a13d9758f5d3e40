//! What an operator sees: log lines on standard error, as text or JSON (contract §7: no names, phones, addresses, bodies or
//! secrets in them), few of them about strangers ([`sampled`]); counts and times ([`metrics`]); the way of one request
//! ([`traces`]).

mod gauges;
pub mod metrics;
mod plain;
mod publications;
pub mod sampled;
pub mod targets;
pub mod traces;

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::Log;

/// Sends what happens from now on to standard error. `RUST_LOG` overrides the level. A second call changes nothing.
pub fn start(log: &Log) {
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(&log.level))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = if log.json {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(stderr)
            .boxed()
    } else {
        fmt::layer()
            .with_ansi(stderr().is_terminal())
            .with_target(false)
            .with_writer(stderr)
            .boxed()
    };
    // Already started: by a test beside us in this process.
    let _ = Registry::default().with(filter).with(lines).try_init();
}
