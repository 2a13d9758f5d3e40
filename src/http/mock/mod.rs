//! Faults at a sender's wish, for `aqua-orders mock`: a layer that nothing else adds, so that no header can bring about
//! any of them in the service.

mod faults;

use std::{
    collections::{BTreeMap, HashMap, hash_map::RandomState},
    fmt::{self, Display},
    hash::BuildHasher,
    io,
    net::Ipv4Addr,
    pin::Pin,
    sync::Arc,
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
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use self::faults::FaultKind;
pub use self::faults::{Faults, GRAMMAR, Misspelt};
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
/// What is taken out of an order that is to be rejected: required of every order but a cancellation, from any sender
/// (contract §3, §5).
const TAKEN_OUT: &str = "total";
/// So many batches may be on their way through their faults; past that all start anew.
const COUNTED: usize = 10_000;

/// What the layer knows: the faults of every request, and how far each batch has come with its faults.
#[derive(Debug)]
pub(super) struct Mock {
    always: Faults,
    /// How often each of a batch's faults was injected.
    counts: Mutex<HashMap<u64, Vec<u32>>>,
    keys: RandomState,
    config: Arc<Config>,
    bodies: Bodies,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Injected {
    /// One of the three that replace the service's own response.
    instead: Option<FaultKind>,
    reject_one: bool,
    delay: Option<Duration>,
}

impl Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instead = self.instead.map(|kind| kind.to_string());
        let reject_one = self.reject_one.then(|| FaultKind::RejectOne.to_string());
        let delay = self.delay;
        let delay = delay.map(|delay| format!("slow={}", delay.as_secs_f64()));
        let words: Vec<_> = [instead, reject_one, delay].into_iter().flatten().collect();
        f.write_str(&words.join(","))
    }
}

impl Mock {
    pub(super) fn new(always: Faults, app: &App) -> Self {
        Self {
            always,
            counts: Mutex::default(),
            keys: RandomState::new(),
            config: app.config(),
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

    /// What goes wrong this time, and counts it. `batch` is its path and its bytes.
    fn due(&self, faults: &Faults, batch: (&str, &[u8])) -> Injected {
        let key = self.keys.hash_one((&faults.0, batch));
        let mut all = self.counts.lock();
        let before = all.remove(&key).unwrap_or(vec![0; faults.0.len()]);
        let mut counts = before.clone();
        let mut inject = |wanted: FaultKind, is_counted: bool| {
            let mut faults = faults.0.iter().zip(&mut counts);
            let (fault, count) = faults.find(|(fault, _)| fault.kind.is_like(wanted))?;
            if let Some(times) = fault.times {
                if *count >= times.get() {
                    return None;
                }
                *count += u32::from(is_counted);
            }
            Some(fault.kind)
        };

        let delay = match inject(FaultKind::Slow(Duration::ZERO), true) {
            Some(FaultKind::Slow(time)) => Some(time),
            _ => None,
        };
        let instead = [
            FaultKind::Unauthorized,
            FaultKind::Unavailable,
            FaultKind::LostAnswer,
        ];
        let instead = instead.into_iter().find_map(|kind| inject(kind, true));
        // The verdict of a lost response is given again: a rejected order is rejected, whether its sender heard of it or not.
        let reject_one = inject(FaultKind::RejectOne, instead.is_none()).is_some();
        if counts != before {
            if all.len() >= COUNTED {
                all.clear();
            }
            all.insert(key, counts);
        }
        Injected {
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

    /// The batch with one of ten orders made faulty, so that the service itself rejects it. `None` where it cannot be read.
    async fn spoilt(&self, headers: &HeaderMap, bytes: &Bytes) -> Option<String> {
        let body = Body::from(bytes.clone());
        // The result is read again, and then counts as the sender's.
        let share = Share::new("", Ipv4Addr::LOCALHOST.into());
        let elements = self.bodies.read(headers, body, &share).await.ok()?;
        Some(spoil(&elements))
    }
}

fn spoil(elements: &Elements) -> String {
    let mut text = String::with_capacity(elements.text.len());
    for (position, range) in elements.ranges.iter().enumerate() {
        text.push(if position == 0 { '[' } else { ',' });
        let element = elements.text.get(range.clone()).unwrap_or_default();
        match spoilt(element).filter(|_| position % ONE_OF == 0) {
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

/// Injects the faults that the sender, or the mock's command line, asks for.
pub(super) async fn inject(
    State(mock): State<Arc<Mock>>,
    request: Request,
    next: Next,
) -> Response {
    let faults = match mock.wanted(request.headers()) {
        Ok(faults) => faults,
        Err(misspelt) => {
            // A mistake in the use of the mock, not a response that the service has.
            let text = format!("X-Mock-Fault: {misspelt}\n\n{GRAMMAR}\n");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    if faults == Faults::default() {
        return next.run(request).await;
    }
    let (mut head, body) = request.into_parts();
    let bytes = match mock.bytes(body).await {
        Ok(bytes) => bytes,
        Err(failure) => return failure.into_response(),
    };
    let injected = mock.due(&faults, (&head.uri.to_string(), &bytes));
    if injected != Injected::default() {
        tracing::info!(fault = %injected, "as wished");
    }
    let response = match injected.instead {
        Some(FaultKind::Unauthorized) => Failure::Unauthorized.into_response(),
        Some(FaultKind::Unavailable) => Failure::StorageUnavailable.into_response(),
        _ => {
            let mut body = Body::from(bytes.clone());
            if injected.reject_one
                && let Some(spoilt) = mock.spoilt(&head.headers, &bytes).await
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
    if let Some(delay) = injected.delay {
        sleep(delay).await;
    }
    if injected.instead == Some(FaultKind::LostAnswer) {
        lost(response)
    } else {
        response
    }
}

/// The response, of which nothing arrives. (An outer layer would write a failure's envelope.)
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

    fn mock() -> Mock {
        let text = "[[publication]]\nname = 'demo'\nanonymous = true";
        let config = Config::parse(Path::new("test.toml"), text, &Environment::default());
        let config = Arc::new(config.expect("settings"));
        Mock {
            always: Faults::default(),
            counts: Mutex::default(),
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
        for (text, due) in [
            ("none", ""),
            ("unauthorized", "unauthorized"),
            ("unavailable=2", "unavailable"),
            (" lost-answer , slow=0.5", "lost-answer,slow=0.5"),
            ("slow=3:1,reject-one,none", "reject-one,slow=3"),
        ] {
            let injected = mock().due(&faults(text), ("", b""));
            assert_eq!(injected.to_string(), due, "{text}");
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
        let mock = mock();
        let faults = faults("lost-answer=1,unavailable=2,reject-one=1,slow=1:1");
        let due = |batch| mock.due(&faults, ("/demo", batch)).to_string();
        for _ in 0..2 {
            assert_eq!(due(b"one"), "unavailable,reject-one,slow=1");
            assert_eq!(due(b"one"), "unavailable,reject-one");
            // Another batch, and the same elsewhere or with other faults, counts by itself.
            assert_eq!(due(b"two"), "unavailable,reject-one,slow=1");
            let elsewhere = mock.due(&faults, ("/other", b"one"));
            assert_eq!(elsewhere.instead, Some(FaultKind::Unavailable));
            let once = "unavailable=1".parse().expect("faults");
            assert_eq!(
                mock.due(&once, ("/demo", b"one")).to_string(),
                "unavailable"
            );
            assert_eq!(mock.due(&once, ("/demo", b"one")).to_string(), "");
            // The verdict whose response was lost is given again.
            assert_eq!(due(b"one"), "lost-answer,reject-one");
            assert_eq!(due(b"one"), "reject-one");
            assert_eq!(due(b"one"), "");
            while !due(b"two").is_empty() {}
            while mock.due(&faults, ("/other", b"one")) != Injected::default() {}
        }
        assert!(mock.counts.lock().is_empty());
        let always = "unauthorized,lost-answer".parse().expect("faults");
        for _ in 0..5 {
            assert_eq!(
                mock.due(&always, ("/demo", b"one")).to_string(),
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
        let mock = mock();
        let spoilt = mock
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
            let spoilt = mock.spoilt(&HeaderMap::new(), &Bytes::from(odd)).await;
            assert_eq!(spoilt.as_deref(), Some(same));
        }
        for unreadable in ["", "{}", "[1"] {
            let bytes = Bytes::from(unreadable);
            assert_eq!(mock.spoilt(&HeaderMap::new(), &bytes).await, None);
        }
    }
}
