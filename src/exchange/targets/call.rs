//! One request to a target, and its answer. Nothing is followed, nothing is kept open, and everything has an end: time, bytes.
//!
//! This is hyper itself and no client above it, because the address decides whether credentials may go there in plain text, so
//! whoever looks the name up must be the one who connects.

use std::{
    fmt::Write as _,
    io::{self, Cursor},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use async_compression::tokio::bufread::GzipDecoder;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::{JoinSet, spawn_blocking},
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{
    config::{Credentials, Secret, Target},
    trust,
};

/// The most that is read of an answer, decompressed.
const LONGEST_ANSWER: usize = 1024 * 1024;
/// A target that asks for more patience than this would have switched itself off.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How a target is reached.
pub(super) struct Caller {
    target: Target,
    tls: Option<TlsConnector>,
    /// As it was read last.
    authorization: Mutex<Option<HeaderValue>>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Response {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
    /// Why the secret that went along may be an old one.
    pub stale_secret: Option<String>,
}

/// Why nothing came back that could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("its name cannot be looked up: {0}")]
    Lookup(io::Error),
    #[error("its address is in none of the networks where credentials may go over plain HTTP")]
    PlainHttp,
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("no TLS with it: {0}")]
    Tls(io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("no answer in time")]
    TimedOut,
    #[error("its answer is longer than {LONGEST_ANSWER} bytes")]
    TooLarge,
    #[error("its answer cannot be read: {0}")]
    Unreadable(Box<dyn std::error::Error + Send + Sync>),
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
}

/// Why a target cannot be reached with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("`ca_file`: {0}")]
    Authorities(#[from] trust::Error),
    #[error("its secret cannot stand in a header")]
    Secret,
}

impl Caller {
    pub fn new(target: &Target) -> Result<Self, SetupError> {
        let tls = if target.is_plain() {
            None
        } else {
            Some(trust::authorities(target.ca_file.as_deref())?)
        };
        Ok(Self {
            target: target.clone(),
            tls,
            authorization: Mutex::new(match &target.credentials {
                Some(credentials) => {
                    Some(authorization(credentials, credentials.file().at_start())?)
                }
                None => None,
            }),
        })
    }

    /// Reads the secret anew, so that it can be changed while the service runs. Of a file that cannot be read now (the service may
    /// have dropped root's rights, or somebody is writing it) the last reading counts, and why is said.
    async fn authorize(&self) -> (Option<HeaderValue>, Option<String>) {
        let Some(credentials) = self.target.credentials.clone() else {
            return (None, None);
        };
        let read = spawn_blocking(move || {
            let secret = credentials.file().read()?;
            authorization(&credentials, &secret).map_err(|error| error.to_string())
        });
        let read = read.await.unwrap_or_else(|error| Err(error.to_string()));
        let mut last = self.authorization.lock();
        let stale = match read {
            Ok(now) => {
                *last = Some(now);
                None
            }
            Err(why) => Some(why),
        };
        (last.clone(), stale)
    }

    /// Posts the body; the answer is there within the target's timeout, or never.
    pub async fn post(&self, body: Bytes, request_id: &str) -> Result<Response, CallError> {
        timeout(self.target.timeout, self.post_and_wait(body, request_id))
            .await
            .unwrap_or(Err(CallError::TimedOut))
    }

    async fn post_and_wait(&self, body: Bytes, request_id: &str) -> Result<Response, CallError> {
        let stream = self.connect().await?;
        match &self.tls {
            None => self.exchange(stream, body, request_id).await,
            Some(tls) => {
                let name = ServerName::try_from(self.target.host().to_owned())
                    .map_err(|error| CallError::Tls(io::Error::other(error)))?;
                let stream = tls.connect(name, stream).await.map_err(CallError::Tls)?;
                self.exchange(stream, body, request_id).await
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, CallError> {
        let port = self.target.url.port_u16();
        let port = port.unwrap_or(if self.target.is_plain() { 80 } else { 443 });
        let addresses = lookup_host((self.target.host(), port))
            .await
            .map_err(CallError::Lookup)?;
        let mut last = CallError::Lookup(io::ErrorKind::NotFound.into());
        for address in addresses {
            if !self.may_call(address.ip()) {
                last = CallError::PlainHttp;
                continue;
            }
            match connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = CallError::Connect(error),
            }
        }
        Err(last)
    }

    fn may_call(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut networks = self.target.plain_http_to.iter();
        self.tls.is_some()
            || self.target.credentials.is_none()
            || networks.any(|network| network.contains(&address))
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        body: Bytes,
        request_id: &str,
    ) -> Result<Response, CallError> {
        let (authorization, stale_secret) = self.authorize().await;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Gone with this call, however it ends.
        let mut connected = JoinSet::new();
        connected.spawn(connection);
        let url = &self.target.url;
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::post(url.path())
            .header(header::HOST, authority)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(header::CONNECTION, "close")
            .header(
                header::USER_AGENT,
                concat!("aqua-orders/", env!("CARGO_PKG_VERSION")),
            )
            .header("X-Request-Id", request_id);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let (head, body) = sender
            .send_request(request.body(Full::new(body))?)
            .await?
            .into_parts();
        Ok(Response {
            status: head.status,
            retry_after: retry_after(&head.headers, Utc::now()),
            body: read(&head.headers, body).await?,
            stale_secret,
        })
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn read(headers: &HeaderMap, body: Incoming) -> Result<Vec<u8>, CallError> {
    let body = Limited::new(body, LONGEST_ANSWER).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            CallError::TooLarge
        } else {
            CallError::Unreadable(error)
        }
    })?;
    let body = body.to_bytes();
    let coding = headers.get(header::CONTENT_ENCODING);
    match coding.map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(body.into()),
        Some(b"gzip" | b"x-gzip") => {
            let mut decompressed = Vec::new();
            GzipDecoder::new(Cursor::new(body))
                .take(LONGEST_ANSWER as u64 + 1)
                .read_to_end(&mut decompressed)
                .await
                .map_err(|error| CallError::Unreadable(error.into()))?;
            if decompressed.len() > LONGEST_ANSWER {
                return Err(CallError::TooLarge);
            }
            Ok(decompressed)
        }
        Some(_) => Err(CallError::Unreadable(
            "compressed in a way nobody asked for".into(),
        )),
    }
}

/// `Retry-After`: seconds or a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let moment = DateTime::parse_from_rfc2822(text).ok()?;
        (moment.to_utc() - now).to_std().unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

fn authorization(credentials: &Credentials, secret: &Secret) -> Result<HeaderValue, SetupError> {
    let secret = secret.expose();
    let text = match credentials {
        Credentials::Basic { user, .. } => {
            format!(
                "Basic {}",
                BASE64_STANDARD.encode(format!("{user}:{secret}"))
            )
        }
        Credentials::Bearer(_) => format!("Bearer {secret}"),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| SetupError::Secret)?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error and its causes, in one line.
pub(super) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretFile;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_switches_nobody_off() {
        let now: DateTime<Utc> = "2026-11-06T11:00:00Z".parse().expect("a moment");
        for (value, seconds) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("Fri, 06 Nov 2026 11:00:30 GMT", Some(30)),
            ("Fri, 06 Nov 2026 10:00:00 GMT", Some(0)),
            ("99999999999", Some(3600)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers =
                HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(value))]);
            let due = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), due, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_secret_is_printed_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        std::fs::write(&file, "s-42").expect("a file");
        let file = SecretFile::open(file).expect("a secret");
        let token = Credentials::Bearer(file);
        let value = authorization(&token, &Secret::new("s-42")).expect("a header");
        assert_eq!(value.as_bytes(), b"Bearer s-42");
        assert!(!format!("{value:?}").contains("s-42"));
        assert!(authorization(&token, &Secret::new("s\n42")).is_err());
    }
}
