//! The state that every handler works with.

use std::sync::{Arc, OnceLock};

use tokio::sync::{Semaphore, watch};

use super::{body::Bodies, login::Gate};
use crate::{config::Config, exchange::feed::Feeds, intake::Intake, telemetry::metrics::Metrics};

#[derive(Debug)]
pub struct App {
    pub config: Arc<Config>,
    pub gate: Gate,
    /// Empty while the database is not ready yet: then batches are answered 503.
    pub intake: Arc<OnceLock<Intake>>,
    pub bodies: Bodies,
    pub feeds: Arc<Feeds>,
    /// One file is imported at a time.
    pub imports: Semaphore,
    pub metrics: Arc<Metrics>,
    /// Whether the service is to stop, for those who wait for something.
    pub stopping: watch::Sender<bool>,
}

impl App {
    pub fn new(config: Arc<Config>, intake: Arc<OnceLock<Intake>>, metrics: Arc<Metrics>) -> Self {
        Self {
            gate: Gate::new(&config),
            bodies: Bodies::new(&config.limits, &config.times),
            feeds: Arc::default(),
            imports: Semaphore::new(1),
            config,
            intake,
            metrics,
            stopping: watch::Sender::new(false),
        }
    }

    /// Resolves when the service is to stop.
    pub async fn stops(&self) {
        // Never an error: the sender is ours.
        let _ = self.stopping.subscribe().wait_for(|stops| *stops).await;
    }
}
