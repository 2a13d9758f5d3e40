//! Bytes -> a JSON array's elements: limits, decompression, charset (contract §1).

use std::{borrow::Cow, fmt, ops::Range, time::Duration};

use async_compression::{
    tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder},
    zstd::DParameter,
};
use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, header},
};
use encoding_rs::{Encoding, UTF_8};
use http_body_util::BodyExt;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::failure::Failure;
use crate::{
    config::Limits,
    room::{Place, Room},
    share::Share,
    turns::Turns,
};

/// Up to here a body is split where it arrived; parsing more would hold up everybody else on the thread.
const SMALL: usize = 256 * 1024;
/// How much longer than its content a compressed body may be: what incompressible data costs in any of the codings.
pub(super) const COMPRESSION_OVERHEAD: usize = 64 * 1024;
/// zstd's largest window, as a power of two, that RFC 9659 grants HTTP: 8 MiB. The library's own bound is 128 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// So many large or compressed bodies are unpacked and split at a time: each may take several times its room meanwhile.
const UNPACKED_AT_ONCE: usize = 2;

/// Where bodies are read: within the room that there is, and large ones one after the other.
#[derive(Debug, Clone)]
pub struct Bodies {
    /// For bodies and their answers.
    pub room: Room,
    /// See [`UNPACKED_AT_ONCE`].
    unpacking: Turns,
}

impl Bodies {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            room: Room::new(bytes),
            unpacking: Turns::new(UNPACKED_AT_ONCE),
        }
    }
}

/// A batch as text, and where its orders stand in it.
#[derive(Debug)]
pub struct Elements {
    /// The JSON array in UTF-8, without a BOM.
    pub text: String,
    /// The array's elements, in bytes of `text`; each one raw JSON value, whatever is in it.
    pub ranges: Vec<Range<usize>>,
    /// Bytes of the body after decompression.
    pub bytes: usize,
    /// To be kept as long as the batch and its answer.
    pub place: Place,
}

/// Reads a request's body within the limits and `deadline`, and takes the array apart.
///
/// # Errors
/// The 400s, 408 and 413s of contract §1, and `overloaded` where no room is left.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
    bodies: &Bodies,
    share: &Share,
    deadline: Duration,
) -> Result<Elements, Failure> {
    let coding = Coding::of(headers)?;
    let charset = charset(headers)?;
    let most_bytes = match coding {
        Coding::Identity => limits.body_bytes,
        _ => limits.body_bytes.saturating_add(COMPRESSION_OVERHEAD),
    };
    let mut place = bodies.room.place(share);
    let bytes = tokio::time::timeout(deadline, collect(body, most_bytes, &mut place))
        .await
        .map_err(|_elapsed| Failure::RequestTimeout)?
        // A compressed body is measured by another yardstick while it comes in; the caller hears of the limit.
        .map_err(|failure| match failure {
            Failure::BodyTooLarge(_) => Failure::BodyTooLarge(limits.body_bytes),
            other => other,
        })?;

    if coding == Coding::Identity && bytes.len() <= SMALL {
        return take_apart(bytes, charset, limits.batch_orders, place);
    }
    let (most_bytes, most_orders) = (limits.body_bytes, limits.batch_orders);
    let turn = bodies.unpacking.take(share, 1).await?;
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        // The decoders are async, but over bytes at hand they never wait: this only turns their crank.
        let bytes = runtime.block_on(decompress(coding, bytes, most_bytes))?;
        place.grow(bytes.len())?;
        place.shrink_to(bytes.len());
        let elements = take_apart(bytes, charset, most_orders, place);
        drop(turn);
        elements
    })
    .await
    .map_err(|_panic| Failure::Internal)?
}

async fn collect(mut body: Body, most: usize, place: &mut Place) -> Result<Vec<u8>, Failure> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > most {
        return Err(Failure::BodyTooLarge(most));
    }
    // What is announced is not there yet: memory grows with what really comes.
    let mut bytes = Vec::with_capacity(announced.min(SMALL));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_broken| Failure::BodyCutShort)?.into_data() else {
            continue; // trailers
        };
        if data.len() > most - bytes.len() {
            return Err(Failure::BodyTooLarge(most));
        }
        place.grow(bytes.len() + data.len())?;
        bytes.extend_from_slice(&data);
    }
    // It grew by doubling, and is kept until its batch is answered.
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// How a body was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let mut coding = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let names = value
                .to_str()
                .map_err(|_bytes| Failure::UnknownContentEncoding)?;
            for name in names
                .split(',')
                .map(|name| name.trim().to_ascii_lowercase())
            {
                let next = match name.as_str() {
                    "" | "identity" => continue,
                    "gzip" | "x-gzip" => Self::Gzip,
                    "deflate" => Self::Deflate,
                    "br" => Self::Brotli,
                    "zstd" => Self::Zstd,
                    _ => return Err(Failure::UnknownContentEncoding),
                };
                // Nobody packs a parcel twice, but a bomb's maker might.
                if coding != Self::Identity {
                    return Err(Failure::UnknownContentEncoding);
                }
                coding = next;
            }
        }
        Ok(coding)
    }
}

async fn decompress(coding: Coding, bytes: Vec<u8>, most: usize) -> Result<Vec<u8>, Failure> {
    let mut rest: &[u8] = &bytes;
    let text = match coding {
        Coding::Identity => return Ok(bytes),
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(&mut rest);
            decoder.multiple_members(true);
            inflate(decoder, most).await
        }
        // The RFC means zlib's format by "deflate"; many senders, PHP's gzdeflate among them, leave its frame off.
        Coding::Deflate => match inflate(ZlibDecoder::new(&mut rest), most).await {
            Err(Failure::CorruptCompression) => {
                rest = &bytes;
                inflate(DeflateDecoder::new(&mut rest), most).await
            }
            done => done,
        },
        Coding::Brotli => inflate(BrotliDecoder::new(&mut rest), most).await,
        Coding::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
            let mut decoder = ZstdDecoder::with_params(&mut rest, &[window]);
            decoder.multiple_members(true);
            inflate(decoder, most).await
        }
    }?;
    // Bytes behind the end belong to nothing that was announced.
    if rest.is_empty() {
        Ok(text)
    } else {
        Err(Failure::CorruptCompression)
    }
}

/// Reads a decoder to its end, but never more than `most` bytes of it: a bomb goes off in somebody else's memory.
async fn inflate(decoder: impl AsyncRead + Unpin, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    decoder
        .take((most as u64).saturating_add(1))
        .read_to_end(&mut bytes)
        .await
        .map_err(|_corrupt| Failure::CorruptCompression)?;
    if bytes.len() > most {
        return Err(Failure::BodyTooLarge(most));
    }
    Ok(bytes)
}

/// The charset of `Content-Type`; UTF-8 where it names none. The media type is not looked at.
fn charset(headers: &HeaderMap) -> Result<&'static Encoding, Failure> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(UTF_8);
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    let label = value
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, label)| label.trim().trim_matches(['"', '\'']).trim());
    match label {
        None | Some("") => Ok(UTF_8),
        Some(label) => {
            Encoding::for_label_no_replacement(label.as_bytes()).ok_or(Failure::UnknownCharset)
        }
    }
}

fn take_apart(
    bytes: Vec<u8>,
    charset: &'static Encoding,
    most_orders: usize,
    mut place: Place,
) -> Result<Elements, Failure> {
    let length = bytes.len();
    let text = decode(bytes, charset)?;
    let ranges = split(&text, most_orders)?;
    place.grow(ranges.len() * Limits::ROOM_OF_AN_ORDER)?;
    Ok(Elements {
        text,
        ranges,
        bytes: length,
        place,
    })
}

fn decode(bytes: Vec<u8>, charset: &'static Encoding) -> Result<String, Failure> {
    // A BOM is surer than a label: in no single-byte charset is it a way for JSON to begin.
    let (charset, bom) = Encoding::for_bom(&bytes).unwrap_or((charset, 0));
    if charset == UTF_8 {
        let mut text =
            String::from_utf8(bytes).map_err(|_broken| Failure::NotInCharset(UTF_8.name()))?;
        text.drain(..bom);
        return Ok(text);
    }
    bytes
        .get(bom..)
        .and_then(|bytes| charset.decode_without_bom_handling_and_without_replacement(bytes))
        .map(Cow::into_owned)
        .ok_or(Failure::NotInCharset(charset.name()))
}

/// Where the array's elements stand in `text`. Only JSON's grammar is looked at, and without recursion: what an
/// element holds (a lone surrogate, `1e400`, nesting without end) spoils that element alone (contract §2).
fn split(text: &str, most_orders: usize) -> Result<Vec<Range<usize>>, Failure> {
    let malformed = |error: &serde_json::Error| malformed(text, error);
    let mut reader = serde_json::Deserializer::from_str(text);
    if !text.trim_ascii_start().starts_with('[') {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| malformed(&error))?;
        return Err(Failure::NotAnArray);
    }
    let (count, ranges) = reader
        .deserialize_seq(Places { text, most_orders })
        .and_then(|places| reader.end().map(|()| places))
        .map_err(|error| malformed(&error))?;
    if count > most_orders {
        return Err(Failure::BatchTooLarge(most_orders));
    }
    Ok(ranges)
}

/// Counts an array's elements and notes where the first `most_orders` of them stand: a body of millions of zeros
/// is read to its end, for it may not be JSON at all, but costs no memory.
struct Places<'a> {
    text: &'a str,
    most_orders: usize,
}

impl<'de> Visitor<'de> for Places<'_> {
    type Value = (usize, Vec<Range<usize>>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of orders")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut count = 0;
        let mut ranges = Vec::new();
        while let Some(raw) = elements.next_element::<&RawValue>()? {
            if count < self.most_orders {
                let start = raw.get().as_ptr().addr() - self.text.as_ptr().addr();
                ranges.push(start..start + raw.get().len());
            }
            count += 1;
        }
        Ok((count, ranges))
    }
}

/// `serde_json` counts a column in bytes; people and editors count characters.
fn malformed(text: &str, error: &serde_json::Error) -> Failure {
    let line = text
        .split('\n')
        .nth(error.line().saturating_sub(1))
        .unwrap_or_default();
    let before = line
        .as_bytes()
        .get(..error.column())
        .unwrap_or(line.as_bytes());
    let is_start_of_char = |byte: &&u8| **byte & 0xC0 != 0x80;
    Failure::MalformedJson {
        line: error.line().max(1),
        column: before.iter().filter(is_start_of_char).count().max(1),
        cut_short: error.is_eof(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Vec<&str> {
        let ranges = split(text, 10).expect("an array");
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn each_element_is_its_raw_json_whatever_is_in_it() {
        assert_eq!(elements("[]"), [""; 0]);
        assert_eq!(elements(" \r\n\t[ ] "), [""; 0]);
        assert_eq!(
            elements("\n[ {\"id\" : \"Ж\", \"id\":1} ,\"\\ud800\",1e400 , [1 , 2],null\t]\n"),
            [
                "{\"id\" : \"Ж\", \"id\":1}",
                "\"\\ud800\"",
                "1e400",
                "[1 , 2]",
                "null"
            ]
        );
    }

    #[test]
    fn orders_past_the_limit_are_counted_but_not_kept() {
        assert_eq!(split("[1,2]", 2), Ok(vec![1..2, 3..4]));
        assert_eq!(split("[1,2,3]", 2), Err(Failure::BatchTooLarge(2)));
        let cut_short = Failure::MalformedJson {
            line: 1,
            column: 6,
            cut_short: true,
        };
        assert_eq!(split("[1,2,3", 2), Err(cut_short));
    }

    #[test]
    fn windows_1251_and_utf_16_become_utf_8_and_a_bom_goes() {
        let windows_1251 = Encoding::for_label(b"windows-1251").expect("a charset");
        let text = |bytes: &[u8], charset| decode(bytes.to_vec(), charset);
        assert_eq!(
            text(b"[\"\xCA\xF3\xF2\"]", windows_1251),
            Ok("[\"Кут\"]".into())
        );
        assert_eq!(text(b"\xEF\xBB\xBF[]", UTF_8), Ok("[]".into()));
        assert_eq!(text(b"\xEF\xBB\xBF[]", windows_1251), Ok("[]".into()));
        assert_eq!(text(b"\xFE\xFF\x04\x1A", UTF_8), Ok("К".into()));
        assert_eq!(text(b"\xFF\xFE\x1A\x04", UTF_8), Ok("К".into()));
        assert_eq!(
            text(b"\xFF\xFE\x1A", UTF_8),
            Err(Failure::NotInCharset("UTF-16LE"))
        );
        assert_eq!(text(b"\xFF", UTF_8), Err(Failure::NotInCharset("UTF-8")));
    }
}
