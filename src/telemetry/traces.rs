//! Traces: a span for each request and for what it waited for, to a collector by OTLP over HTTP (`[traces]`), in the
//! caller's own trace where its `traceparent` says so and it is no stranger. Off unless a collector is named; then nothing is measured for them.
//!
//! Spans are made when the response is there, from moments that were noted on the way: a transaction that several batches
//! share is a part of each one's trace, and no span hangs open when a caller does.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use ::http::HeaderMap;
use async_trait::async_trait;
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{
        Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
    },
};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response, hyper};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Handle;

use crate::config;

/// How long a collector may take to accept spans.
const EXPORT: Duration = Duration::from_secs(5);
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

/// A request that was answered.
#[derive(Debug)]
pub struct Answered<'a> {
    pub begin: Instant,
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

/// Sends spans from now on, where the settings name a collector. Within tokio's runtime.
pub fn start(settings: &config::Traces) -> Result<Option<Traces>, Error> {
    let Some(endpoint) = &settings.endpoint else {
        return Ok(None);
    };
    let client = Client {
        inner: hyper::HyperClient::with_default_connector(EXPORT, None),
        runtime: Handle::current(),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(EXPORT)
        .build()
        .map_err(|error| Error {
            endpoint: endpoint.clone(),
            reason: error.to_string(),
        })?;
    let resource = Resource::builder()
        .with_service_name("aqua-orders")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
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

/// Makes a request's spans, and says which trace they are part of: the caller's, or one of our own where spans are sent.
pub fn answered(caller: Option<&SpanContext>, answered: &Answered<'_>) -> Option<String> {
    let of_caller = caller.map(|caller| caller.trace_id().to_string());
    let Some(tracer) = TRACER.get() else {
        return of_caller;
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
    let (orders, accepted, rejected) = answered.orders;
    let mut attributes = vec![
        KeyValue::new("http.request.method", "POST"),
        KeyValue::new("http.response.status_code", i64::from(answered.status)),
        KeyValue::new("aqua.request_id", answered.request_id.to_owned()),
        KeyValue::new("aqua.orders", count(orders)),
        KeyValue::new("aqua.accepted", count(accepted)),
        KeyValue::new("aqua.rejected", count(rejected)),
    ];
    if let Some(publication) = answered.publication {
        attributes.push(KeyValue::new("aqua.publication", publication.to_owned()));
    }
    if let Some(code) = answered.code {
        attributes.push(KeyValue::new("error.type", code));
    }
    let span = SpanBuilder::from_name("getOrdersURL")
        .with_kind(SpanKind::Server)
        .with_start_time(moment(answered.begin))
        .with_attributes(attributes);
    let mut span = tracer.build_with_context(span, &around);
    if answered.status >= 500 {
        span.set_status(Status::error(answered.code.unwrap_or_default()));
    }
    let itself = span.span_context().clone();
    if span.is_recording() {
        let within = around.with_remote_span_context(itself.clone());
        for stage in answered.stages {
            let part = SpanBuilder::from_name(stage.name)
                .with_kind(SpanKind::Internal)
                .with_start_time(moment(stage.begin));
            tracer
                .build_with_context(part, &within)
                .end_with_timestamp(moment(stage.end));
        }
    }
    span.end_with_timestamp(now.1);
    itself.is_valid().then(|| itself.trace_id().to_string())
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The library sends from a thread of its own, which knows of no runtime.
#[derive(Debug)]
struct Client {
    inner: hyper::HyperClient,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let inner = self.inner.clone();
        self.runtime
            .spawn(async move { inner.send_bytes(request).await })
            .await?
    }
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
