//! The state that every handler works with.

use std::sync::{Arc, OnceLock};

use super::{body::Bodies, login::Gate};
use crate::{config::Config, intake::Intake, telemetry::metrics::Metrics};

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
