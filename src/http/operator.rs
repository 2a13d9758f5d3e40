//! The operator's own listener (`[operator] listen`): is the service alive, can it take orders, what has it counted?
//! Whoever reaches it may read all of it, so it listens on loopback unless told otherwise. Nothing about people is here
//! but what a dry run with the sender's own login shows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use super::{App, ORDERS_ROUTE, docs, layered, orders, orders_at};
use crate::{backup, database::Disk, intake::Intake, store::Health, telemetry::metrics::Reading};

/// How long the database may take to say how it is: a probe has its own deadline, often of a few seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// What was found out so lately is not asked again, however many ask.
const FRESH: Duration = Duration::from_millis(500);
/// Of the text format of `OpenMetrics`.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the operator's listener knows of the service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The service itself.
    pub app: Arc<App>,
    /// Whether the service is on its way out.
    pub stopping: Arc<AtomicBool>,
    /// What was found out last.
    pub last: Arc<Mutex<Option<(Instant, Readiness)>>>,
}

/// One thing that must be right, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The same of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct DiskCheck {
    #[serde(flatten)]
    check: Check,
    free_bytes: u64,
    size_bytes: u64,
}

/// Whether orders can be taken, and if not, why. What `/readyz` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    ready: bool,
    service: Check,
    database: Check,
    schema: Check,
    /// Of the private cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<DiskCheck>,
}

impl Check {
    fn good() -> Self {
        Self {
            ok: true,
            reason: None,
        }
    }

    fn bad(reason: impl Into<String>) -> Self {
        Self {
            ok: false,
            reason: Some(reason.into()),
        }
    }
}

impl Operator {
    /// An operator's view of that service.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self {
            app,
            stopping: Arc::default(),
            last: Arc::default(),
        }
    }

    /// Every route of the operator's listener.
    pub(super) fn router(self) -> Router {
        let tried_out = Router::new().route(ORDERS_ROUTE, orders_at(orders::try_out));
        let tried_out = layered(tried_out, Arc::clone(&self.app));
        let docs = docs::router(&self.app.config.limits);
        Router::new()
            .route("/", get(welcome))
            .route("/healthz", get(alive))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .fallback(nothing_here)
            .with_state(self)
            .merge(tried_out)
            .merge(docs)
    }

    /// Looks whether orders can be taken.
    async fn readiness(&self) -> Readiness {
        let mut last = self.last.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < FRESH
        {
            return found.clone();
        }
        let found = self.look().await;
        *last = Some((Instant::now(), found.clone()));
        found
    }

    async fn look(&self) -> Readiness {
        let (service, asked) = if self.stopping.load(Ordering::Relaxed) {
            (Check::bad("it is stopping"), None)
        } else {
            (Check::good(), self.app.intake.get())
        };
        let asked = match asked {
            Some(intake) => Some(timeout(PATIENCE, intake.store().health()).await),
            None => None,
        };
        let unknown = || Check::bad("not known while the database does not answer");
        let (database, schema) = match asked {
            None if service.ok => (Check::bad("it is being opened"), unknown()),
            None => (
                Check::bad("not asked any more"),
                Check::bad("not asked any more"),
            ),
            Some(Err(_elapsed)) => (
                Check::bad(format!(
                    "it does not answer within {} s",
                    PATIENCE.as_secs()
                )),
                unknown(),
            ),
            Some(Ok(Err(error))) => (Check::bad(error.in_full()), unknown()),
            Some(Ok(Ok(Health::Good))) => (Check::good(), Check::good()),
            Some(Ok(Ok(Health::ReadOnly))) => (
                Check::bad("it takes no writes: a standby, or set to read only"),
                Check::good(),
            ),
            Some(Ok(Ok(Health::Outdated { applied, known }))) => (
                Check::good(),
                Check::bad(format!(
                    "its last migration is {applied}, ours {known}: restart the service, which brings it up to date"
                )),
            ),
        };
        let disk = self.disk().map(|disk| DiskCheck {
            check: if disk.free < Disk::FULL {
                Check::bad("full: make room, else PostgreSQL stops")
            } else {
                Check::good()
            },
            free_bytes: disk.free,
            size_bytes: disk.size,
        });
        Readiness {
            ready: service.ok
                && database.ok
                && schema.ok
                && disk.as_ref().is_none_or(|disk| disk.check.ok),
            service,
            database,
            schema,
            disk,
        }
    }

    /// The private cluster's.
    fn disk(&self) -> Option<Disk> {
        let settings = &self.app.config.database;
        settings
            .url
            .is_none()
            .then(|| Disk::of(&settings.data_dir))?
    }
}

/// What is here, for whoever opens the address in a browser.
async fn welcome() -> &'static str {
    concat!(
        "aqua-orders ",
        env!("CARGO_PKG_VERSION"),
        "\n\n/healthz  alive\n/readyz   can orders be taken, and if not, why\n/metrics  for Prometheus\n\n/docs          how orders are sent\n/try           try an order out\n/openapi.json  the same for programs\n\nPOST /<publication>/hs/AquaDeliveri/getOrdersURL?dry_run=true tries orders out.\n"
    )
}

async fn nothing_here() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "nothing here; / says what there is\n",
    )
}

async fn alive() -> Response {
    Json(serde_json::json!({ "alive": true })).into_response()
}

async fn ready(State(operator): State<Operator>) -> Response {
    let readiness = operator.readiness().await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}

async fn metrics(State(operator): State<Operator>) -> Response {
    let readiness = operator.readiness().await;
    let app = &operator.app;
    let intake = app.intake.get();
    let reading = Reading {
        lanes: intake.map(Intake::lanes).unwrap_or_default(),
        database_connections: intake.map(|intake| intake.store().connections()),
        bytes_in_flight: app.room.taken(),
        connections_max: app.config.limits.connections,
        database_up: readiness.database.ok,
        ready: readiness.ready,
        disk: readiness
            .disk
            .map(|disk| (disk.free_bytes, disk.size_bytes)),
        backup_age: backup::age_seconds(&app.config.backup),
    };
    match app.metrics.text(&reading) {
        Ok(text) => {
            let kind = HeaderValue::from_static(METRICS);
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
