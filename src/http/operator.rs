//! The handlers of the operator's listener (`[operator] listen`): is the service alive, can it take orders, what has it
//! counted? Whoever reaches it may read all of it, so it listens on loopback unless told otherwise. It shows nothing about
//! people but what a dry run with the sender's own login shows.

use std::{
    collections::{BTreeMap, HashSet},
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
    http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use super::{app::App, listener::tls::Tls};
use crate::{
    backup,
    database::{Disk, Space},
    intake::Intake,
    store::Health,
    telemetry::metrics::Reading,
};

/// How long the database may take to say how it is: a probe has its own deadline, often of a few seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// For so long a readiness serves everybody who asks.
const FRESH: Duration = Duration::from_millis(500);
/// The content type of `OpenMetrics`' text.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Operator {
    pub app: Arc<App>,
    pub stopping: Arc<AtomicBool>,
    /// Where its listener speaks TLS.
    pub(super) tls: Option<Tls>,
    last: Arc<Mutex<Option<(Instant, Readiness)>>>,
}

/// Whether one thing is as it must be, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

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
    /// Those of a Citus cluster. Publications of one that is away get 503, the others notice nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    workers: BTreeMap<String, Check>,
    /// The private cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<DiskCheck>,
    /// What should be known, but prevents nothing.
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
    pub fn new(app: Arc<App>) -> Self {
        Self {
            app,
            stopping: Arc::default(),
            tls: None,
            last: Arc::default(),
        }
    }

    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    async fn readiness(&self) -> Readiness {
        let mut last = self.last.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < FRESH
        {
            return found.clone();
        }
        let found = self.check().await;
        *last = Some((Instant::now(), found.clone()));
        found
    }

    async fn check(&self) -> Readiness {
        let is_stopping = self.stopping.load(Ordering::Relaxed);
        let (service, (database, schema, workers)) = if is_stopping {
            let not_asked = || Check::bad("not asked any more");
            let unknown = (not_asked(), not_asked(), BTreeMap::new());
            (Check::bad("it is stopping"), unknown)
        } else {
            (Check::good(), self.check_database().await)
        };
        let disk = self.check_disk();
        Readiness {
            ready: service.ok
                && database.ok
                && schema.ok
                && disk.as_ref().is_none_or(|disk| disk.check.ok),
            service,
            database,
            schema,
            workers,
            disk,
            notes: self.app.config().notes(),
        }
    }

    /// The database, its schema, and the workers of a Citus cluster.
    async fn check_database(&self) -> (Check, Check, BTreeMap<String, Check>) {
        let bad = |reason: String| {
            let unknown = Check::bad("not known while the database does not answer");
            (Check::bad(reason), unknown, BTreeMap::new())
        };
        let Some(intake) = self.app.intake.get() else {
            return bad("it is being opened".into());
        };
        let config = self.app.config();
        let health = intake.store().health(&config.publications);
        let Ok(answered) = timeout(PATIENCE, health).await else {
            let seconds = PATIENCE.as_secs();
            return bad(format!("it does not answer within {seconds} s"));
        };
        match answered {
            Err(error) => bad(error.in_full()),
            Ok(Health::Good(workers)) => {
                let workers = workers.into_iter().map(|worker| {
                    let check = worker.failure.map_or_else(Check::good, Check::bad);
                    (worker.name, check)
                });
                (Check::good(), Check::good(), workers.collect())
            }
            Ok(Health::ReadOnly) => (
                Check::bad("it takes no writes: a standby, or set to read only"),
                Check::good(),
                BTreeMap::new(),
            ),
            Ok(Health::Outdated { applied, known }) => (
                Check::good(),
                Check::bad(format!(
                    "its last migration is {applied}, ours {known}: restart the service, which brings it up to date"
                )),
                BTreeMap::new(),
            ),
        }
    }

    fn check_disk(&self) -> Option<DiskCheck> {
        let config = self.app.config();
        let settings = &config.database;
        if settings.url.is_some() {
            return None;
        }
        let disk = Disk::of(&settings.data_dir)?;
        let check = if disk.space() == Space::Full {
            Check::bad(
                "full: make room; until then batches are answered 503, so that PostgreSQL stays alive",
            )
        } else {
            Check::good()
        };
        Some(DiskCheck {
            check,
            free_bytes: disk.free,
            size_bytes: disk.size,
        })
    }
}

/// For whoever opens the listener in a browser.
pub(super) async fn welcome() -> &'static str {
    concat!(
        "aqua-orders ",
        env!("CARGO_PKG_VERSION"),
        "\n\n/healthz  alive\n/readyz   can orders be taken, and if not, why\n/metrics  for Prometheus\n\n/docs          how orders are sent\n/try           try an order out\n/openapi.json  the same for programs\n\nPOST /<publication>/hs/AquaDeliveri/getOrdersURL?dry_run=true tries orders out.\n"
    )
}

/// A page in the operator's browser can make the browser take this listener for the page's own server, by a name that suddenly
/// means 127.0.0.1 (DNS rebinding), and read along. So the listener answers to its own names alone.
pub(super) async fn only_by_its_names(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let config = app.config();
    let hosts = &config.operator.hosts;
    let mut names = request
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
    if names.all(|name| is_its_name(name, hosts)) {
        return next.run(request).await;
    }
    (
        StatusCode::MISDIRECTED_REQUEST,
        "this is the operator's listener, which goes by its IP address, by localhost and by the names in [operator] hosts\n",
    )
        .into_response()
}

/// Whether a `Host` names this listener, whatever its port.
fn is_its_name(host: &[u8], hosts: &[String]) -> bool {
    let Ok(authority) = Authority::try_from(host) else {
        return false;
    };
    let name = authority.host().trim_end_matches('.');
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

/// Whether a scraper asks for the older text format and not for `OpenMetrics`.
fn wants_plain(headers: &HeaderMap) -> bool {
    let accepts = |kind: &str| {
        let mut values = headers.get_all(header::ACCEPT).iter();
        values.any(|value| value.to_str().is_ok_and(|value| value.contains(kind)))
    };
    accepts("text/plain") && !accepts("application/openmetrics-text")
}

pub(super) async fn metrics(State(operator): State<Operator>, headers: HeaderMap) -> Response {
    let readiness = operator.readiness().await;
    let app = &operator.app;
    let config = app.config();
    let intake = app.intake.get();
    // One that a reload took away has a lane still.
    let known: HashSet<&str> = config.publications.iter().map(|own| &*own.name).collect();
    let mut lanes = intake.map(Intake::lanes).unwrap_or_default();
    lanes.retain(|(publication, ..)| known.contains(&**publication));
    let reading = Reading {
        lanes,
        database_connections: intake.map(|intake| intake.store().connections()),
        bytes_in_flight: app.bodies.memory.used(),
        connections_max: config.limits.connections,
        database_up: readiness.database.ok,
        workers_up: readiness
            .workers
            .into_iter()
            .map(|(name, check)| (name, check.ok))
            .collect(),
        ready: readiness.ready,
        disk: readiness
            .disk
            .map(|disk| (disk.free_bytes, disk.size_bytes)),
        backup_age: backup::age_seconds(&config.backup),
    };
    let (kind, text) = if wants_plain(&headers) {
        (PLAIN_METRICS, app.metrics.plain_text(&reading))
    } else {
        (METRICS, app.metrics.text(&reading))
    };
    match text {
        Ok(text) => {
            let kind = HeaderValue::from_static(kind);
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
