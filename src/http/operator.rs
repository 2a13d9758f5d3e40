//! The operator's own listener (`[operator] listen`): is the service alive, can it take orders, what has it counted?
//! Whoever reaches it may read all of it, so it listens on loopback unless told otherwise. Nothing about people is here
//! but what a dry run with the sender's own login shows.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use super::app::App;
use crate::{
    backup,
    database::{Disk, Space},
    intake::Intake,
    store::Health,
    telemetry::metrics::Reading,
};

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
    /// What keeps nobody from working, and should be known all the same.
    notes: Vec<String>,
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
            check: if disk.space() == Space::Full {
                Check::bad("full: make room; until then batches are answered 503, so that PostgreSQL stays alive")
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
            notes: self.app.config.notes(),
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
pub(super) async fn welcome() -> &'static str {
    concat!(
        "aqua-orders ",
        env!("CARGO_PKG_VERSION"),
        "\n\n/healthz  alive\n/readyz   can orders be taken, and if not, why\n/metrics  for Prometheus\n\n/docs          how orders are sent\n/try           try an order out\n/openapi.json  the same for programs\n\nPOST /<publication>/hs/AquaDeliveri/getOrdersURL?dry_run=true tries orders out.\n"
    )
}

/// A page in the operator's browser may have the browser take this listener for the page's own server, by a name that
/// suddenly means 127.0.0.1 (DNS rebinding), and read along. So it answers to its own names alone.
pub(super) async fn only_by_its_names(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let hosts = &app.config.operator.hosts;
    let mut called = request
        .headers()
        .get_all(header::HOST)
        .iter()
        .map(HeaderValue::as_bytes)
        .chain(
            request
                .uri()
                .authority()
                .map(|authority| authority.as_str().as_bytes()),
        );
    if called.all(|called| is_its_name(called, hosts)) {
        return next.run(request).await;
    }
    (
        StatusCode::MISDIRECTED_REQUEST,
        "this is the operator's listener, which goes by its IP address, by localhost and by the names in [operator] hosts\n",
    )
        .into_response()
}

/// Whether a `Host` names this listener, whatever its port.
fn is_its_name(called: &[u8], hosts: &[String]) -> bool {
    let Ok(called) = Authority::try_from(called) else {
        return false;
    };
    let name = called.host().trim_end_matches('.');
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| name.eq_ignore_ascii_case(host))
}

pub(super) async fn nothing_here() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "nothing here; / says what there is\n",
    )
}

pub(super) async fn alive() -> Response {
    Json(serde_json::json!({ "alive": true })).into_response()
}

pub(super) async fn ready(State(operator): State<Operator>) -> Response {
    let readiness = operator.readiness().await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}

pub(super) async fn metrics(State(operator): State<Operator>) -> Response {
    let readiness = operator.readiness().await;
    let app = &operator.app;
    let intake = app.intake.get();
    let reading = Reading {
        lanes: intake.map(Intake::lanes).unwrap_or_default(),
        database_connections: intake.map(|intake| intake.store().connections()),
        bytes_in_flight: app.bodies.memory.used(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_by_its_address_by_localhost_and_by_the_names_in_the_settings() {
        let hosts = ["aqua-orders".to_owned()];
        for (called, its) in [
            ("127.0.0.1", true),
            ("127.0.0.1:9888", true),
            ("192.0.2.7:9888", true),
            ("[::1]:9888", true),
            ("localhost", true),
            ("LocalHost.:9888", true),
            ("aqua-orders:9888", true),
            ("Aqua-Orders", true),
            ("", false),
            ("evil.example", false),
            ("evil.example:9888", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1@evil.example", false),
            ("evil.example:9888, 127.0.0.1", false),
        ] {
            assert_eq!(is_its_name(called.as_bytes(), &hosts), its, "{called}");
        }
        assert!(!is_its_name(b"aqua-orders", &[]));
    }
}
