//! The state that every handler works with.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    body::{Body, HttpBody},
    http::{HeaderValue, header, request},
};
use tokio::sync::{Semaphore, watch};

use super::{
    body::{Bodies, Elements},
    exchange::Facts,
    failure::Failure,
    listener::address::SenderAddress,
    login::{Caller, Gate},
    path::publication_of,
};
use crate::{
    config::{Config, Role},
    exchange::feed::Feeds,
    intake::Intake,
    share::Share,
    telemetry::metrics::Metrics,
};

#[derive(Debug)]
pub struct App {
    config: watch::Sender<Arc<Config>>,
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
            config: watch::Sender::new(config),
            intake,
            metrics,
            stopping: watch::Sender::new(false),
        }
    }

    /// The settings as they are now: publications and operators as they were read last, the rest as at the start.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// The same for who works with them for long.
    pub fn settings(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }

    /// Works with these settings from now on ([`Config::reload`]). Requests under way end with those that they began with.
    pub fn reload(&self, config: &Arc<Config>) {
        self.gate.reload(config);
        let before = self.config.send_replace(Arc::clone(config));
        self.metrics.reload(&before, config);
    }

    /// Lets a caller of that role in to the publication of the path, or not.
    pub async fn log_in(
        &self,
        role: Role,
        head: &request::Parts,
        SenderAddress(address): SenderAddress,
        facts: &mut Facts,
    ) -> Result<Caller, Failure> {
        let begin = Instant::now();
        let publication = publication_of(&head.uri);
        let authorization = head.headers.get(header::AUTHORIZATION);
        let authorization = authorization.map(HeaderValue::as_bytes);
        let caller = match role {
            Role::Sender => self.gate.admit(&publication, authorization, address).await,
            Role::BackOffice => {
                let admitted = (self.gate).admit_back_office(&publication, authorization, address);
                admitted.await
            }
        };
        let caller =
            caller.inspect_err(|refused| facts.refused(*refused, authorization, address))?;
        facts.waited("login", begin);
        facts.know(&caller);
        Ok(caller)
    }

    /// Reads the body of a caller who was let in, and splits it.
    pub async fn read(
        &self,
        caller: &Caller,
        SenderAddress(address): SenderAddress,
        head: &request::Parts,
        body: Body,
        facts: &mut Facts,
    ) -> Result<Elements, Failure> {
        let begin = Instant::now();
        // Of a body that cannot be read, what was announced.
        facts.bytes = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let share = Share::new(&caller.publication.name, address);
        let read = self.bodies.read(&head.headers, body, &share).await;
        let elements = read.map_err(|failure| failure.with_query(head.uri.query()))?;
        facts.waited("body", begin);
        facts.bytes = elements.bytes;
        facts.orders = elements.ranges.len();
        Ok(elements)
    }

    /// Resolves when the service is to stop.
    pub async fn stops(&self) {
        // Never an error: the sender is ours.
        let _ = self.stopping.subscribe().wait_for(|stops| *stops).await;
    }
}
