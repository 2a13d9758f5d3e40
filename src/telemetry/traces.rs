//! Traces: a span for each request and for what it waited for, to a collector by OTLP over HTTP (`[traces]`), in the
//! caller's own trace where its `traceparent` says so and it is no stranger. Off unless a collector is named; then nothing is measured for them.
//! Names and attributes are those of `OpenTelemetry`'s conventions.
//!
//! Spans are made when the response is there, from moments that were noted on the way: a transaction that several batches
//! share is a part of each one's trace, and no span hangs open when a caller does.

use std::{
    fmt,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use ::http::{HeaderMap, HeaderValue, header, uri::Scheme};
use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{
        Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
    },
};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Handle,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{config, trust};

/// How long a collector may take to accept spans.
const EXPORT: Duration = Duration::from_secs(5);
/// The most that is read of its answer.
const LONGEST_ANSWER: usize = 64 * 1024;
/// How long a stop waits for the last spans to be sent.
const LAST: Duration = Duration::from_secs(3);

/// Set once, where a collector is named.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Sends what is left when it is dropped.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

/// Something that a request waited for.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    pub name: &'static str,
    pub begin: Instant,
    pub end: Instant,
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// One of a kind that HTTP knows, else empty.
    pub method: &'static str,
    pub is_https: bool,
    /// The path of an endpoint, with the publication's place in it; `None` of what is none.
    pub route: Option<&'static str>,
    /// Whom it called us.
    pub host: Option<String>,
    pub port: Option<u16>,
}

/// A request that was answered.
#[derive(Debug)]
pub struct Answered<'a> {
    pub begin: Instant,
    pub asked: &'a Asked,
    /// As the log has it.
    pub path: &'a str,
    pub status: u16,
    /// As the log has it.
    pub request_id: &'a str,
    /// The code of a whole-request failure.
    pub code: Option<&'static str>,
    /// A configured name.
    pub publication: Option<&'a str>,
    /// Orders in the batch, of them accepted, and rejected.
    pub orders: (usize, usize, usize),
    /// What it waited for.
    pub stages: &'a [Stage],
    /// Whether the caller may decide if it is traced.
    pub is_known: bool,
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("no traces can be sent to {endpoint}: {reason}")]
pub struct Error {
    endpoint: String,
    reason: String,
}

/// The trace that a request is part of.
#[derive(Debug, Default)]
pub struct TraceId {
    pub id: Option<String>,
    /// Whether its spans are sent.
    pub is_sent: bool,
}

/// Sends spans from now on, where the settings name a collector. Within tokio's runtime.
///
/// Of `OTEL_…` in the environment the library reads the headers and the name itself.
pub fn start(settings: &config::Traces) -> Result<Option<Traces>, Error> {
    let Some(endpoint) = &settings.endpoint else {
        return Ok(None);
    };
    let error = |reason: String| Error {
        endpoint: endpoint.clone(),
        reason,
    };
    let client = Client {
        tls: trust::authorities(settings.ca_file.as_deref())
            .map_err(|problem| error(problem.to_string()))?,
        runtime: Handle::current(),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .build()
        .map_err(|problem| error(problem.to_string()))?;
    let mut resource = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !settings.is_service_named {
        resource = resource.with_service_name("aqua-orders");
    }
    let resource = resource.build();
    let share = Sampler::TraceIdRatioBased(1.0 / f64::from(settings.one_of));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        // A caller that traces its own call decides, if it may; else so many of all.
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .build();
    // Already started: by a test beside us in this process.
    let _ = TRACER.set(provider.tracer("aqua-orders"));
    Ok(Some(Traces(provider)))
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// The caller's span, from its `traceparent` (W3C Trace Context). `None` where there is none, or nonsense.
#[must_use]
pub fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    // Most callers have none, and should not pay for the parsing below.
    headers.get("traceparent")?;
    let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    let caller = context.span().span_context().clone();
    caller.is_valid().then_some(caller)
}

/// Whether spans are made at all.
#[must_use]
pub fn are_made() -> bool {
    TRACER.get().is_some()
}

/// Makes a request's spans, and says which trace they are part of: the caller's, or one of our own where spans are sent.
pub fn answered(caller: Option<&SpanContext>, answered: &Answered<'_>) -> TraceId {
    let Some(tracer) = TRACER.get() else {
        return TraceId {
            id: caller.map(|caller| caller.trace_id().to_string()),
            is_sent: false,
        };
    };
    // A stranger's would have us send spans for each of his requests. Its number would not help: he could choose one that
    // is among the so many.
    let caller = caller.filter(|_| answered.is_known);
    let now = (Instant::now(), SystemTime::now());
    // The clock may be set meanwhile; moments are told from one reading of it.
    let moment = |at: Instant| now.1 - now.0.saturating_duration_since(at);
    let around = caller.map_or_else(Context::new, |caller| {
        Context::new().with_remote_span_context(caller.clone())
    });
    let span = SpanBuilder::from_name(answered.name())
        .with_kind(SpanKind::Server)
        .with_start_time(moment(answered.begin))
        .with_attributes(answered.attributes());
    let mut span = tracer.build_with_context(span, &around);
    if answered.status >= 500 {
        span.set_status(Status::error(answered.code.unwrap_or_default()));
    }
    let itself = span.span_context().clone();
    let is_sent = span.is_recording();
    if is_sent {
        let within = around.with_remote_span_context(itself.clone());
        for stage in answered.stages {
            let mut part = SpanBuilder::from_name(stage.name)
                .with_kind(SpanKind::Internal)
                .with_start_time(moment(stage.begin));
            if let Some(summary) = query_summary(stage.name) {
                part = part.with_kind(SpanKind::Client).with_attributes([
                    KeyValue::new("db.system.name", "postgresql"),
                    KeyValue::new("db.query.summary", summary),
                ]);
            }
            tracer
                .build_with_context(part, &within)
                .end_with_timestamp(moment(stage.end));
        }
    }
    span.end_with_timestamp(now.1);
    TraceId {
        id: itself.is_valid().then(|| itself.trace_id().to_string()),
        is_sent,
    }
}

impl Answered<'_> {
    /// The method and the route, where it has them.
    fn name(&self) -> String {
        let method = match self.asked.method {
            "" => "HTTP",
            method => method,
        };
        match self.asked.route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        }
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let method = match self.asked.method {
            "" => "_OTHER",
            method => method,
        };
        let scheme = if self.asked.is_https { "https" } else { "http" };
        let (orders, accepted, rejected) = self.orders;
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.response.status_code", i64::from(self.status)),
            KeyValue::new("url.scheme", scheme),
            KeyValue::new("url.path", self.path.to_owned()),
            KeyValue::new("aqua.request_id", self.request_id.to_owned()),
            KeyValue::new("aqua.orders", count(orders)),
            KeyValue::new("aqua.accepted", count(accepted)),
            KeyValue::new("aqua.rejected", count(rejected)),
        ];
        let mut add = |name, value| attributes.push(KeyValue::new(name, value));
        if let Some(route) = self.asked.route {
            add("http.route", opentelemetry::Value::from(route));
        }
        if let Some(host) = &self.asked.host {
            add("server.address", host.clone().into());
        }
        if let Some(port) = self.asked.port {
            add("server.port", i64::from(port).into());
        }
        if let Some(publication) = self.publication {
            add("aqua.publication", publication.to_owned().into());
        }
        if let Some(code) = self.code {
            add("error.type", code.into());
        }
        attributes
    }
}

/// What a stage asks of the database, if it does.
fn query_summary(stage: &str) -> Option<&'static str> {
    match stage {
        "read" => Some("SELECT orders"),
        "write" => Some("INSERT orders"),
        _ => None,
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The library sends from a thread of its own, which knows of no runtime. A connection for each sending: there is one in five
/// seconds.
#[derive(Clone)]
struct Client {
    tls: TlsConnector,
    runtime: Handle,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.clone();
        let sent = async move { timeout(EXPORT, client.send(request)).await? };
        self.runtime.spawn(sent).await?
    }
}

impl Client {
    async fn send(self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri().clone();
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let authority = uri.authority().ok_or("a collector without a host")?;
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16();
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        let named = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(header::HOST, named);
        *request.uri_mut() = match uri.path_and_query() {
            Some(path) => path.as_str().parse()?,
            None => "/".parse()?,
        };
        let stream = TcpStream::connect((host, port)).await?;
        if is_tls {
            let name = ServerName::try_from(host.to_owned())?;
            exchange(self.tls.connect(name, stream).await?, request).await
        } else {
            exchange(stream, request).await
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Gone with this call, however it ends.
    let mut connected = JoinSet::new();
    connected.spawn(connection);
    let response = sender.send_request(request.map(Full::new)).await?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LONGEST_ANSWER).collect().await?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    fn trace_of(traceparent: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static(traceparent));
        caller(&headers).map(|caller| caller.trace_id().to_string())
    }

    #[test]
    fn a_traceparent_is_taken_up_and_nonsense_is_not() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            trace_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_deref(),
            Some(TRACE)
        );
        // What a later version adds is none of our business.
        assert_eq!(
            trace_of("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").as_deref(),
            Some(TRACE)
        );
        for nonsense in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473\" OR 1=1-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace_of(nonsense), None, "{nonsense}");
        }
        assert_eq!(caller(&HeaderMap::new()), None);
    }
}
