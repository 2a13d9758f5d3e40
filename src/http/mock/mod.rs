//! Faults at a sender's wish, for `aqua-orders mock`: a layer that nothing else adds, so that no header can bring about
//! any of them in the service.

use std::{
    collections::{BTreeMap, HashMap, hash_map::RandomState},
    fmt::{self, Display},
    hash::BuildHasher,
    io,
    net::Ipv4Addr,
    num::NonZeroU32,
    pin::Pin,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Frame;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use super::{
    app::App,
    body::{Bodies, Elements},
    bounds::COMPRESSION_OVERHEAD,
    failure::Failure,
};
use crate::{config::Config, share::Share};

const X_MOCK_FAULT: HeaderName = HeaderName::from_static("x-mock-fault");

/// Of so many orders one is rejected.
const ONE_OF: usize = 10;
/// What is taken out of an order that is to be rejected: required of every order but a cancellation, whoever sends it
/// (contract §3, §5).
const TAKEN_OUT: &str = "total";
/// Nobody waits longer.
const SLOWEST: f64 = 3600.0;
/// So many batches may be on their way through their faults; past that all are counted from the start.
const COUNTED: usize = 10_000;

/// How faults are written, for people.
pub const GRAMMAR: &str = "\
Faults are written alike in the header X-Mock-Fault of a request and in --fault, which stands
for every request without that header. Several have commas between them:

  unauthorized[=N]   401, as for a wrong password; nothing is stored
  unavailable[=N]    503 storage_unavailable with Retry-After; nothing is stored
  lost-answer[=N]    the batch is taken, and the connection cut without an answer
  reject-one[=N]     of every ten orders the first loses its `total` on the way and
                     is rejected for that (but for a cancellation, which needs none)
  slow=SECONDS[:N]   whatever is to be answered is answered so much later
  none               no fault

N: only the first N times that a batch (the same bytes) comes; without N every time. Of the
first three one strikes at a time, in this order. A batch that came through all its faults
begins anew when it comes again.";

/// What a sender wants to go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(Vec<Fault>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Fault {
    kind: Kind,
    /// Only the first times that a batch comes.
    times: Option<NonZeroU32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Unauthorized,
    Unavailable,
    LostAnswer,
    RejectOne,
    Slow(Duration),
}

/// Faults that are not written as [`GRAMMAR`] has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misspelt {
    /// No such fault.
    #[error(
        "there is no fault {0:?}: there are unauthorized, unavailable, lost-answer, reject-one, slow and none"
    )]
    Unknown(String),
    /// Not how often.
    #[error("{0:?}: how often must be a whole number from 1 on")]
    Times(String),
    /// Not how long.
    #[error("{0:?}: write slow=SECONDS, with at most 3600 seconds")]
    Seconds(String),
    /// The same twice.
    #[error("{0} stands twice")]
    Doubled(String),
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
            Self::LostAnswer => "lost-answer",
            Self::RejectOne => "reject-one",
            Self::Slow(_) => "slow",
        })
    }
}

impl FromStr for Faults {
    type Err = Misspelt;

    fn from_str(text: &str) -> Result<Self, Misspelt> {
        let mut faults: Vec<Fault> = Vec::new();
        for word in text.split(',').map(str::trim) {
            if word == "none" {
                continue;
            }
            let fault = word.parse::<Fault>()?;
            let is_same = |other: &Fault| {
                std::mem::discriminant(&other.kind) == std::mem::discriminant(&fault.kind)
            };
            if faults.iter().any(is_same) {
                return Err(Misspelt::Doubled(fault.kind.to_string()));
            }
            faults.push(fault);
        }
        Ok(Self(faults))
    }
}

impl FromStr for Fault {
    type Err = Misspelt;

    fn from_str(word: &str) -> Result<Self, Misspelt> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let (kind, times) = match name {
            "unauthorized" => (Kind::Unauthorized, value),
            "unavailable" => (Kind::Unavailable, value),
            "lost-answer" => (Kind::LostAnswer, value),
            "reject-one" => (Kind::RejectOne, value),
            "slow" => {
                let value = value.unwrap_or_default();
                let (seconds, times) = match value.split_once(':') {
                    Some((seconds, times)) => (seconds, Some(times)),
                    None => (value, None),
                };
                let time = seconds
                    .parse()
                    .ok()
                    .filter(|seconds| *seconds <= SLOWEST)
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .ok_or_else(|| Misspelt::Seconds(word.to_owned()))?;
                (Kind::Slow(time), times)
            }
            _ => return Err(Misspelt::Unknown(word.to_owned())),
        };
        let times = times
            .map(|times| times.parse().map_err(|_| Misspelt::Times(word.to_owned())))
            .transpose()?;
        Ok(Self { kind, times })
    }
}

/// The layer's own: what goes wrong with every request, and how far each batch has come with its faults.
#[derive(Debug)]
pub(super) struct Switches {
    always: Faults,
    /// How often each fault struck, by what [`Switches::strikes`] knows the batch by.
    struck: Mutex<HashMap<u64, Vec<u32>>>,
    keys: RandomState,
    config: Arc<Config>,
    bodies: Bodies,
}

/// What goes wrong with one request.
#[derive(Debug, Default, PartialEq, Eq)]
struct Strikes {
    /// One of the three that leave no answer of the service's own.
    instead: Option<Kind>,
    reject_one: bool,
    delay: Option<Duration>,
}

impl Display for Strikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.instead.map(|kind| kind.to_string()));
        words.extend(self.reject_one.then(|| Kind::RejectOne.to_string()));
        words.extend(
            self.delay
                .map(|delay| format!("slow={}", delay.as_secs_f64())),
        );
        f.write_str(&words.join(","))
    }
}

impl Switches {
    pub(super) fn new(always: Faults, app: &App) -> Self {
        Self {
            always,
            struck: Mutex::default(),
            keys: RandomState::new(),
            config: Arc::clone(&app.config),
            bodies: app.bodies.clone(),
        }
    }

    /// The header's faults, else those of every request.
    fn wanted(&self, headers: &HeaderMap) -> Result<Faults, Misspelt> {
        let mut wanted = headers.get_all(X_MOCK_FAULT).iter().peekable();
        if wanted.peek().is_none() {
            return Ok(self.always.clone());
        }
        let texts: Vec<_> = wanted
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        texts.join(",").parse()
    }

    /// What strikes this time, and counts it. `batch` is its address and its bytes.
    fn strikes(&self, faults: &Faults, batch: (&str, &[u8])) -> Strikes {
        let key = self.keys.hash_one((&faults.0, batch));
        // Counts alone: they are right whoever panicked.
        let mut all = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        let mut struck = all.remove(&key).unwrap_or_default();
        struck.resize(faults.0.len(), 0);
        let mut due: Vec<(Fault, &mut u32)> = faults.0.iter().copied().zip(&mut struck).collect();
        due.retain(|(fault, count)| fault.times.is_none_or(|times| **count < times.get()));
        let mut counts = false;
        let mut strike = |is_it: &dyn Fn(Kind) -> bool, is_counted: bool| {
            let (fault, count) = due.iter_mut().find(|(fault, _)| is_it(fault.kind))?;
            if is_counted && fault.times.is_some() {
                **count += 1;
                counts = true;
            }
            Some(fault.kind)
        };

        let delay = match strike(&|kind| matches!(kind, Kind::Slow(_)), true) {
            Some(Kind::Slow(time)) => Some(time),
            _ => None,
        };
        let instead = [Kind::Unauthorized, Kind::Unavailable, Kind::LostAnswer]
            .into_iter()
            .find_map(|wanted| strike(&|kind| kind == wanted, true));
        // The verdict of a lost answer is given again: a rejected order is rejected, whether its sender heard of it or not.
        let reject_one = strike(&|kind| kind == Kind::RejectOne, instead.is_none()).is_some();
        if counts {
            if all.len() >= COUNTED {
                all.clear();
            }
            all.insert(key, struck);
        }
        Strikes {
            instead,
            reject_one,
            delay,
        }
    }

    /// A body's bytes as they came.
    async fn bytes(&self, body: Body) -> Result<Bytes, Failure> {
        let most = self.config.limits.body_bytes;
        let whole = Limited::new(body, most.saturating_add(COMPRESSION_OVERHEAD)).collect();
        match timeout(self.config.times.body, whole).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::BodyTooLarge(most)),
            Ok(Err(_broken)) => Err(Failure::BodyCutShort),
            Err(_elapsed) => Err(Failure::RequestTimeout),
        }
    }

    /// The batch with one order of ten made faulty, so that the service's own verdict on it comes out. `None` where it
    /// cannot be read.
    async fn spoilt(&self, headers: &HeaderMap, bytes: &Bytes) -> Option<String> {
        let body = Body::from(bytes.clone());
        // Sent again at once as the service's own, and then counted as its sender's.
        let share = Share::new("", Ipv4Addr::LOCALHOST.into());
        let elements = self.bodies.read(headers, body, &share).await.ok()?;
        Some(spoil(&elements))
    }
}

fn spoil(elements: &Elements) -> String {
    let mut text = String::with_capacity(elements.text.len());
    for (place, range) in elements.ranges.iter().enumerate() {
        text.push(if place == 0 { '[' } else { ',' });
        let element = elements.text.get(range.clone()).unwrap_or_default();
        match spoilt(element).filter(|_| place % ONE_OF == 0) {
            Some(spoilt) => text.push_str(&spoilt),
            None => text.push_str(element),
        }
    }
    if elements.ranges.is_empty() {
        text.push('[');
    }
    text.push(']');
    text
}

/// `None` where it is no order, or has the fault already.
fn spoilt(element: &str) -> Option<String> {
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(element).ok()?;
    fields.remove(TAKEN_OUT)?;
    serde_json::to_string(&fields).ok()
}

/// Has a request suffer what its sender, or the mock's own, wishes it.
pub(super) async fn strike(
    State(switches): State<Arc<Switches>>,
    request: Request,
    next: Next,
) -> Response {
    let faults = match switches.wanted(request.headers()) {
        Ok(faults) => faults,
        Err(misspelt) => {
            // A mistake in the use of the mock, not an answer that the service has.
            let text = format!("X-Mock-Fault: {misspelt}\n\n{GRAMMAR}\n");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    if faults == Faults::default() {
        return next.run(request).await;
    }
    let (mut head, body) = request.into_parts();
    let bytes = match switches.bytes(body).await {
        Ok(bytes) => bytes,
        Err(failure) => return failure.into_response(),
    };
    let strikes = switches.strikes(&faults, (&head.uri.to_string(), &bytes));
    if strikes != Strikes::default() {
        tracing::info!(fault = %strikes, "as wished");
    }
    let response = match strikes.instead {
        Some(Kind::Unauthorized) => Failure::Unauthorized.into_response(),
        Some(Kind::Unavailable) => Failure::StorageUnavailable.into_response(),
        _ => {
            let mut body = Body::from(bytes.clone());
            if strikes.reject_one
                && let Some(spoilt) = switches.spoilt(&head.headers, &bytes).await
            {
                body = spoilt.into();
                let headers = &mut head.headers;
                headers.remove(header::CONTENT_ENCODING);
                headers.remove(header::CONTENT_LENGTH);
                let utf_8 = HeaderValue::from_static("application/json; charset=utf-8");
                headers.insert(header::CONTENT_TYPE, utf_8);
            }
            next.run(Request::from_parts(head, body)).await
        }
    };
    if let Some(delay) = strikes.delay {
        sleep(delay).await;
    }
    if strikes.instead == Some(Kind::LostAnswer) {
        lost(response)
    } else {
        response
    }
}

/// The answer, of which nothing arrives. (A failure's envelope would be written further out.)
fn lost(response: Response) -> Response {
    let (mut head, _body) = response.into_parts();
    head.extensions.remove::<Failure>();
    Response::from_parts(head, Body::new(Cut))
}

/// A body that breaks off before its first byte. hyper then hangs up, without having sent the head.
struct Cut;

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Environment;

    fn switches() -> Switches {
        let text = "[[publication]]\nname = 'demo'\nanonymous = true";
        let config = Config::parse(Path::new("test.toml"), text, &Environment::default());
        let config = Arc::new(config.expect("settings"));
        Switches {
            always: Faults::default(),
            struck: Mutex::default(),
            keys: RandomState::new(),
            bodies: Bodies::new(&config.limits, &config.times),
            config,
        }
    }

    fn faults(text: &str) -> Faults {
        text.parse().expect("faults")
    }

    #[test]
    fn faults_are_read_as_their_grammar_has_them() {
        for (text, strikes) in [
            ("none", ""),
            ("unauthorized", "unauthorized"),
            ("unavailable=2", "unavailable"),
            (" lost-answer , slow=0.5", "lost-answer,slow=0.5"),
            ("slow=3:1,reject-one,none", "reject-one,slow=3"),
        ] {
            let struck = switches().strikes(&faults(text), ("", b""));
            assert_eq!(struck.to_string(), strikes, "{text}");
        }
        for text in [
            "",
            "nonsense",
            "Unavailable",
            "unavailable=0",
            "unavailable=-1",
            "unavailable=two",
            "unavailable=",
            "unavailable 2",
            "none=1",
            "slow",
            "slow=",
            "slow=-1",
            "slow=3601",
            "slow=NaN",
            "slow=1:0",
            "unavailable,,slow=1",
            "unavailable=1,unavailable=2",
            "slow=1,slow=2",
        ] {
            assert!(text.parse::<Faults>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_batch_comes_through_its_faults_one_by_one_and_begins_anew() {
        let switches = switches();
        let faults = faults("lost-answer=1,unavailable=2,reject-one=1,slow=1:1");
        let strikes = |batch| switches.strikes(&faults, ("/demo", batch)).to_string();
        for _ in 0..2 {
            assert_eq!(strikes(b"one"), "unavailable,reject-one,slow=1");
            assert_eq!(strikes(b"one"), "unavailable,reject-one");
            // Another batch, and the same elsewhere or with other faults, counts by itself.
            assert_eq!(strikes(b"two"), "unavailable,reject-one,slow=1");
            let elsewhere = switches.strikes(&faults, ("/other", b"one"));
            assert_eq!(elsewhere.instead, Some(Kind::Unavailable));
            let once = "unavailable=1".parse().expect("faults");
            assert_eq!(
                switches.strikes(&once, ("/demo", b"one")).to_string(),
                "unavailable"
            );
            assert_eq!(switches.strikes(&once, ("/demo", b"one")).to_string(), "");
            // The verdict whose answer was lost is given again.
            assert_eq!(strikes(b"one"), "lost-answer,reject-one");
            assert_eq!(strikes(b"one"), "reject-one");
            assert_eq!(strikes(b"one"), "");
            while !strikes(b"two").is_empty() {}
            while switches.strikes(&faults, ("/other", b"one")) != Strikes::default() {}
        }
        assert!(switches.struck.lock().expect("unharmed").is_empty());
        let always = "unauthorized,lost-answer".parse().expect("faults");
        for _ in 0..5 {
            assert_eq!(
                switches.strikes(&always, ("/demo", b"one")).to_string(),
                "unauthorized"
            );
        }
    }

    #[tokio::test]
    async fn one_order_of_ten_loses_its_total_and_the_others_stay_to_the_byte() {
        let orders: Vec<String> = (0..12)
            .map(|n| format!(r#"{{ "total" : 0.10 , "id":"{n}", "price": 1.0}}"#))
            .collect();
        let body = Bytes::from(format!("[{}]", orders.join(" , ")));
        let switches = switches();
        let spoilt = switches
            .spoilt(&HeaderMap::new(), &body)
            .await
            .expect("a batch");
        let spoilt: Vec<&RawValue> = serde_json::from_str(&spoilt).expect("JSON");
        assert_eq!(spoilt.len(), 12);
        for (n, (is, was)) in spoilt.iter().zip(&orders).enumerate() {
            let due = match n {
                0 | 10 => format!(r#"{{"id":"{n}","price":1.0}}"#),
                _ => was.clone(),
            };
            assert_eq!(is.get(), due);
        }
        for (odd, same) in [
            ("[]", "[]"),
            ("[ 1, {} ]", "[1,{}]"),
            (r#"["total"]"#, r#"["total"]"#),
        ] {
            let spoilt = switches.spoilt(&HeaderMap::new(), &Bytes::from(odd)).await;
            assert_eq!(spoilt.as_deref(), Some(same));
        }
        for unreadable in ["", "{}", "[1"] {
            let bytes = Bytes::from(unreadable);
            assert_eq!(switches.spoilt(&HeaderMap::new(), &bytes).await, None);
        }
    }
}
