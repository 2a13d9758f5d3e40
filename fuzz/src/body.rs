//! A request's body: whatever comes, it is taken apart or refused, and how it was packed makes no difference (contract §1).

use std::{
    convert::Infallible,
    fmt,
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use aqua_orders::{
    config::{Limits, Times},
    http::body::Bodies,
    order::fault::Language,
    share::Share,
};
use async_compression::Level;
use async_compression::tokio::bufread::{
    BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder,
};
use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, HeaderValue, header},
};
use bytes::{Buf as _, Bytes};
use encoding_rs::{Encoding, UTF_8};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use tokio::{io::AsyncReadExt as _, runtime::Runtime};

/// `Content-Encoding`; several lines where there are several headers.
const CODINGS: [&str; 8] = [
    "",
    "gzip",
    "deflate",
    "br",
    "zstd",
    "X-GZIP, identity",
    "UTF-8, binary\nbr",
    "gzip\nzstd",
];
/// `Content-Type`.
const TYPES: [&str; 14] = [
    "",
    "application/json",
    "application/json; charset=utf-8",
    "text/plain;charset=\"windows-1251\"",
    "application/x-www-form-urlencoded; boundary=x; CHARSET = 'koi8-r' ; a",
    "a/b; charset=utf-16le",
    "a/b; charset=utf-16be",
    "a/b; charset=shift_jis",
    "a/b; charset=gb18030",
    "a/b; charset=iso-2022-jp",
    "a/b; charset=nonsense",
    "a/b; charset=hz-gb-2312",
    "application/json; charset=utf-8, application/json",
    "a/b; charset=windows-1251, a/b; charset=utf-8",
];

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
}

/// The first byte chooses coding, pieces and limits, the second the charset; the rest is the body.
pub fn check(input: &[u8]) {
    let [how, charset, body @ ..] = input else {
        return;
    };
    let coding = CODINGS[usize::from(how & 7)];
    let pieces = match how >> 3 & 3 {
        0 => None,
        1 => Some(1),
        2 => Some(7),
        _ => Some(4096),
    };
    let limits = if how & 32 == 0 {
        limits(32 * 1024, 50)
    } else {
        limits(64, 2)
    };
    let content_type = TYPES[usize::from(*charset) % TYPES.len()];
    let repack = how & 64 != 0;
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let read = read(coding, content_type, body, pieces, &limits).await;
            if coding.is_empty() {
                assert_eq!(read, expected(content_type, body, &limits));
            }
            // However the pieces come.
            if pieces.is_some() {
                let whole = self::read(coding, content_type, body, None, &limits).await;
                assert_eq!(read, whole, "in pieces and whole");
            }
            if coding.is_empty() && repack {
                for (coding, packed) in packed(body).await {
                    let unpacked = self::read(coding, content_type, &packed, pieces, &limits).await;
                    assert_eq!(read, unpacked, "packed as {coding}");
                }
            }
        });
    });
}

fn limits(body_bytes: usize, batch_orders: usize) -> Limits {
    Limits {
        body_bytes,
        batch_orders,
        order_items: 500,
        client_addresses: 100,
        waiting_batches: 1,
        coalesce: true,
        connections: 1,
        connections_per_address: 1,
        connections_per_network: 1,
        answer_bytes: usize::MAX,
        dry_runs_per_minute: 1,
        bytes_in_flight: usize::MAX,
    }
}

/// The text, its elements and the size; or the code of the refusal.
type Read = Result<(String, Vec<String>, usize), String>;

async fn read(
    coding: &str,
    content_type: &str,
    body: &[u8],
    pieces: Option<usize>,
    limits: &Limits,
) -> Read {
    let mut headers = HeaderMap::new();
    for coding in coding.lines() {
        headers.append(
            header::CONTENT_ENCODING,
            HeaderValue::from_str(coding).expect("ASCII"),
        );
    }
    if !content_type.is_empty() {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_str(content_type).expect("ASCII"),
        );
    }
    let bytes = Bytes::copy_from_slice(body);
    let body = match pieces {
        None => Body::from(bytes),
        Some(size) => Body::new(Pieces { bytes, size }),
    };
    let share = Share::new("demo", Ipv4Addr::LOCALHOST.into());
    let enough = Duration::from_mins(10);
    let times = Times {
        answer: enough,
        headers: enough,
        body: enough,
        write: enough,
        write_mib: enough,
        stop: enough,
    };
    let bodies = Bodies::new(limits, &times);
    let read = bodies.read(&headers, body, &share).await;
    let failure = match read {
        Ok(elements) => {
            let text = elements.text;
            assert!(
                elements.bytes <= limits.body_bytes,
                "{} bytes were let in",
                elements.bytes
            );
            assert!(
                elements.ranges.len() <= limits.batch_orders,
                "too many orders were let in"
            );
            let mut ends = 0;
            let mut in_text = elements.ranges.clone();
            in_text.sort_by_key(|range| range.start);
            for range in in_text {
                assert!(ends < range.start, "elements overlap");
                ends = range.end;
            }
            let parts = elements.ranges.into_iter().map(|range| {
                let part = text.get(range).expect("in the text");
                serde_json::from_str::<IgnoredAny>(part).expect("an element is JSON");
                part.to_owned()
            });
            let parts = parts.collect();
            return Ok((text, parts, elements.bytes));
        }
        Err(failure) => failure,
    };
    for language in [Language::Ru, Language::En] {
        let response = failure.envelope(language);
        assert!(
            matches!(response.status().as_u16(), 400 | 413),
            "{failure:?}"
        );
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["success"], false);
        assert_eq!(body["data"], serde_json::json!({}));
        assert_eq!(body["errors"][0]["code"], failure.code());
        assert_eq!(body["errors"][0]["field"], "");
        assert_eq!(body["errors"][0]["message"], body["message"]);
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
        );
    }
    Err(failure.code().to_owned())
}

/// What `encoding_rs` and `serde_json` say of a body that is not compressed.
fn expected(content_type: &str, body: &[u8], limits: &Limits) -> Read {
    let bad_encoding = || "bad_encoding".to_owned();
    let label = content_type
        .to_lowercase()
        .split_once("charset")
        .map(|(_, label)| {
            label
                .split([',', ';'])
                .next()
                .unwrap_or_default()
                .replace(['=', ' ', '"', '\''], "")
        });
    // Not even a label that stands for the replacement character is one.
    let charset = label
        .and_then(|label| Encoding::for_label_no_replacement(label.as_bytes()))
        .unwrap_or(UTF_8);
    if body.len() > limits.body_bytes {
        return Err("body_too_large".into());
    }
    let (text, _, broken) = charset.decode(body);
    if broken {
        return Err(bad_encoding());
    }
    match listed(&text) {
        Ok(elements) if elements.len() > limits.batch_orders => Err("batch_too_large".into()),
        Ok(elements) => {
            let elements = elements
                .into_iter()
                .map(|raw| raw.get().to_owned())
                .collect();
            Ok((text.into_owned(), elements, body.len()))
        }
        // What comes behind too many orders is not looked at.
        Err(_) if begins_with_more(&text, limits.batch_orders) => Err("batch_too_large".into()),
        Err(_) if serde_json::from_str::<IgnoredAny>(&text).is_ok() => Err("not_an_array".into()),
        Err(_) => Err("malformed_json".into()),
    }
}

/// Whether a text that is no list would be one of more elements than that, were it cut off somewhere.
fn begins_with_more(text: &str, orders: usize) -> bool {
    let ends = text
        .char_indices()
        .map(|(place, char)| place + char.len_utf8());
    ends.filter_map(|end| text.get(..end)).any(|beginning| {
        [']', '}'].into_iter().any(|end| {
            listed(&format!("{beginning}{end}")).is_ok_and(|elements| elements.len() > orders)
        })
    })
}

/// A list's elements, or those of an object whose keys are all whole numbers.
fn listed(text: &str) -> serde_json::Result<Vec<&RawValue>> {
    let fields = match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(elements) => return Ok(elements),
        Err(no_list) => serde_json::from_str::<Fields>(text).map_err(|_| no_list)?.0,
    };
    let no_number = || serde_json::Error::custom("no whole number");
    let mut listed: Vec<(String, &RawValue)> = vec![];
    for (key, value) in fields {
        let key: String = serde_json::from_str(key.get())?;
        if key.is_empty() || !key.chars().all(|char| char.is_ascii_digit()) {
            return Err(no_number());
        }
        listed.retain(|(before, _)| *before != key);
        listed.push((key, value));
    }
    if listed.is_empty() {
        return Err(no_number());
    }
    // Numbers of one length are in the order of their digits.
    let longest = listed.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    listed.sort_by_key(|(key, _)| (format!("{key:0>longest$}"), key.len()));
    Ok(listed.into_iter().map(|(_, value)| value).collect())
}

/// An object's keys and values as they stand there.
struct Fields<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Fields<'de>, A::Error> {
                let mut read = vec![];
                while let Some(field) = fields.next_entry()? {
                    read.push(field);
                }
                Ok(Fields(read))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// A body, compressed in each way that we take, the way of `gzdeflate` and an empty body included.
async fn packed(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut packed = vec![];
    macro_rules! pack {
        ($coding:literal, $encoder:ident) => {
            let mut bytes = Vec::new();
            $encoder::with_quality(body, Level::Fastest)
                .read_to_end(&mut bytes)
                .await
                .expect("packed");
            packed.push(($coding, bytes));
        };
    }
    pack!("gzip", GzipEncoder);
    pack!("deflate", ZlibEncoder);
    pack!("deflate", DeflateEncoder);
    pack!("br", BrotliEncoder);
    pack!("zstd", ZstdEncoder);
    // Two members, one behind the other, are one body.
    let (first, second) = body.split_at(body.len() / 2);
    let mut bytes = Vec::new();
    for half in [first, second] {
        GzipEncoder::new(half)
            .read_to_end(&mut bytes)
            .await
            .expect("packed");
    }
    packed.push(("gzip", bytes));
    packed
}

/// A body that comes in pieces, says nothing of its length and ends with trailers.
struct Pieces {
    bytes: Bytes,
    size: usize,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.size == 0 {
            return Poll::Ready(None);
        }
        let length = self.size.min(self.bytes.remaining());
        Poll::Ready(Some(Ok(if length == 0 {
            self.size = 0;
            Frame::trailers(HeaderMap::new())
        } else {
            Frame::data(self.bytes.split_to(length))
        })))
    }
}
