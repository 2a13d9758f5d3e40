//! The state that every handler works with.

use std::sync::{Arc, OnceLock};

use super::{body::Bodies, login::Gate};
use crate::{config::Config, intake::Intake, telemetry::metrics::Metrics};

#[derive(Debug)]
pub struct App {
    pub config: Arc<Config>,
    pub gate: Gate,
    /// Empty while the database is not ready yet: then batches are answered 503.
    pub intake: Arc<OnceLock<Intake>>,
    pub bodies: Bodies,
    pub metrics: Arc<Metrics>,
}

impl App {
    pub fn new(config: Arc<Config>, intake: Arc<OnceLock<Intake>>, metrics: Arc<Metrics>) -> Self {
        Self {
            gate: Gate::new(&config),
            bodies: Bodies::new(&config.limits, &config.times),
            config,
            intake,
            metrics,
        }
    }
}
