use std::path::PathBuf;

use http::Uri;

use super::{environment::Environment, file::Section};

/// `[traces]`: where spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// A collector that takes OTLP over HTTP, overridden by `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or, with `/v1/traces` behind it,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`; `None`: no spans are made.
    pub endpoint: Option<String>,
    /// One request in so many is traced, unless the caller's own trace includes it.
    pub one_of: u32,
    /// PEM of the authorities that vouch for the collector, instead of the public ones: `OTEL_EXPORTER_OTLP_CERTIFICATE`.
    pub ca_file: Option<PathBuf>,
    /// Whether `OTEL_SERVICE_NAME` says what we are called.
    pub is_service_named: bool,
}

impl Traces {
    pub(super) fn read(mut section: Section<'_>, environment: &Environment) -> Self {
        let endpoint = section.parsed("endpoint", endpoint_of).flatten();
        let from_environment = environment.otlp_endpoint.as_deref().map(endpoint_of);
        let endpoint = match from_environment {
            None => endpoint,
            Some(Ok(endpoint)) => endpoint,
            Some(Err(what)) => {
                let what = format!("OTEL_EXPORTER_OTLP_ENDPOINT in the environment: {what}");
                section.problems.add(0, what);
                None
            }
        };
        let one_of = section.number("one_of", 1..=1_000_000);
        section.finish(&[]);
        Self {
            endpoint,
            one_of,
            ca_file: environment.otlp_certificate.clone(),
            is_service_named: environment.is_service_named,
        }
    }
}

/// An empty one is none.
fn endpoint_of(text: &str) -> Result<Option<String>, String> {
    let is_http = text.starts_with("http://") || text.starts_with("https://");
    match text {
        "" => Ok(None),
        text if is_http && text.parse::<Uri>().is_ok_and(|uri| uri.host().is_some()) => {
            Ok(Some(text.to_owned()))
        }
        _ => Err(
            "write the address of a collector, as in \"http://127.0.0.1:4318/v1/traces\"".into(),
        ),
    }
}
