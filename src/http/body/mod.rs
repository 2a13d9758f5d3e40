//! Bytes -> a JSON array's elements: limits, decompression, charset (contract §1).

pub(super) mod reply;

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Arc, Weak},
    time::Instant,
};

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
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    runtime::Handle,
    time::timeout,
};

use super::failure::{
    Failure,
    came::{Came, Name},
};
use crate::{
    config::{Limits, Times},
    fair_semaphore::FairSemaphore,
    memory::{MemoryBudget, Reservation},
    order::list_key::ListKey,
    share::Share,
};

/// Up to here a body is split where it arrived; parsing more would hold up everybody else on the thread.
const SMALL: usize = 256 * 1024;
/// How much longer than its content a compressed body may be: what incompressible data costs in any of the codings.
pub(super) const COMPRESSION_OVERHEAD: usize = 64 * 1024;
/// zstd's largest window, as a power of two, that RFC 9659 grants HTTP: 8 MiB. The library's own bound is 128 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// A body is unpacked in steps of so many bytes.
const STEP: u64 = 256 * 1024;
/// From here on its elements are counted while it is unpacked; before that it costs less to read it to its end.
const COUNTED_FROM: usize = 1024 * 1024;
/// So many large or compressed bodies are unpacked and split at a time: each may take several times its room meanwhile.
const UNPACKED_AT_ONCE: usize = 2;

/// Where bodies are read: within the room that there is, and large ones one after the other.
#[derive(Debug, Clone)]
pub struct Bodies {
    /// For bodies and their answers.
    pub memory: MemoryBudget,
    /// See [`UNPACKED_AT_ONCE`].
    unpacking: FairSemaphore,
}

impl Bodies {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            memory: MemoryBudget::new(bytes),
            unpacking: FairSemaphore::new(UNPACKED_AT_ONCE),
        }
    }

    /// Reads a request's body within the limits and times of `config`, and takes the array apart.
    ///
    /// # Errors
    /// The 400s, 408 and 413s of contract §1, and `overloaded` where no room is left or no turn came in time.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        share: &Share,
        limits: &Limits,
        times: &Times,
    ) -> Result<Elements, Failure> {
        let (coding, named) = Coding::of(headers)?;
        let charset = Charset::of(headers, named);
        let most_bytes = match coding {
            Coding::Identity => limits.body_bytes,
            _ => limits.body_bytes.saturating_add(COMPRESSION_OVERHEAD),
        };
        let mut memory = self.memory.reserve(share);
        let bytes = timeout(times.body, collect(body, most_bytes, &mut memory))
            .await
            .map_err(|_elapsed| Failure::RequestTimeout)?
            // A compressed body is measured by another yardstick while it comes in; the caller hears of the limit.
            .map_err(|failure| match failure {
                Failure::BodyTooLarge(_) => Failure::BodyTooLarge(limits.body_bytes),
                other => other,
            })?;
        let body = Packed {
            complete_at: Instant::now(),
            coding,
            charset,
            bytes,
            memory,
            most_bytes: limits.body_bytes,
            most_orders: limits.batch_orders,
        };
        if coding == Coding::Identity && body.bytes.len() <= SMALL {
            return body.take_apart();
        }
        timeout(times.answer, self.unpack(body))
            .await
            .map_err(|_elapsed| Failure::Overloaded)?
    }

    /// Unpacks a body and takes it apart, in its turn and off the threads that serve everybody. Dropped, the work stops.
    async fn unpack(&self, body: Packed) -> Result<Elements, Failure> {
        let turn = self.unpacking.acquire(body.memory.share(), 1).await?;
        let runtime = Handle::current();
        let wanted = Arc::new(());
        let still_wanted = Arc::downgrade(&wanted);
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            // The decoders are async, but over bytes at hand they never wait: this only turns their crank.
            let body = runtime.block_on(body.unpack(&still_wanted))?;
            body.take_apart()
        })
        .await
        .map_err(|_panic| Failure::Internal)?
    }
}

/// A batch as text, and where its orders stand in it.
#[derive(Debug)]
pub struct Elements {
    /// The JSON array in UTF-8, without a BOM; or the object that is one.
    pub text: String,
    /// The array's elements in their order, in bytes of `text`; each one raw JSON value, whatever is in it.
    pub ranges: Vec<Range<usize>>,
    /// Bytes of the body after decompression.
    pub bytes: usize,
    /// When the whole body was there: from then on the time of the answer counts.
    pub complete_at: Instant,
    /// To be kept as long as the batch and its answer.
    pub memory: Reservation,
}

/// A body that is there as a whole.
struct Packed {
    complete_at: Instant,
    coding: Coding,
    charset: Charset,
    bytes: Vec<u8>,
    memory: Reservation,
    most_bytes: usize,
    most_orders: usize,
}

async fn collect(
    mut body: Body,
    most: usize,
    memory: &mut Reservation,
) -> Result<Vec<u8>, Failure> {
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
        memory.grow(bytes.len() + data.len())?;
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
    /// What `Content-Encoding` says; and the charset that stands there, for senders confuse the two headers.
    fn of(headers: &HeaderMap) -> Result<(Self, Option<&'static Encoding>), Failure> {
        let (mut coding, mut charset) = (Self::Identity, None);
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let names = value
                .to_str()
                .map_err(|_bytes| Failure::UnknownContentEncoding)?;
            for name in names.split([',', ';']) {
                let name = label(name).to_ascii_lowercase();
                let next = match name.as_str() {
                    // The last three are of mail's header of nearly the same name.
                    "" | "identity" | "none" | "binary" | "8bit" | "7bit" => continue,
                    "gzip" | "x-gzip" => Self::Gzip,
                    "deflate" => Self::Deflate,
                    "br" => Self::Brotli,
                    "zstd" => Self::Zstd,
                    name => {
                        let name = name.strip_prefix("charset=").map_or(name, label);
                        let known = Encoding::for_label_no_replacement(name.as_bytes())
                            .ok_or(Failure::UnknownContentEncoding)?;
                        charset.get_or_insert(known);
                        continue;
                    }
                };
                // Nobody packs a parcel twice, but a bomb's maker might.
                if coding != Self::Identity {
                    return Err(Failure::UnknownContentEncoding);
                }
                coding = next;
            }
        }
        Ok((coding, charset))
    }
}

/// A name in a header, without what stands around it.
fn label(text: &str) -> &str {
    text.trim_matches(|char: char| char.is_ascii_whitespace() || matches!(char, '"' | '\''))
}

/// What the headers say of a text's charset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    /// It is this one; UTF-8 where none is named.
    Named(&'static Encoding),
    /// UTF-8, or this one, which is named where a compression was due.
    Perhaps(&'static Encoding),
    /// UTF-8, or one that nobody knows.
    Unknown(Name),
}

impl Charset {
    /// The `charset` of Content-Type, else the one that stands in `Content-Encoding`. The media type is not looked at, nor how
    /// the parameter is parted from it: headers come joined by a comma, too.
    fn of(headers: &HeaderMap, in_coding: Option<&'static Encoding>) -> Self {
        let mut unknown = None;
        for value in headers.get_all(header::CONTENT_TYPE) {
            let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            for rest in value.split("charset").skip(1) {
                let Some(rest) = rest.trim_start().strip_prefix('=') else {
                    continue;
                };
                let name = label(rest.split([',', ';']).next().unwrap_or_default());
                match Encoding::for_label_no_replacement(name.as_bytes()) {
                    Some(known) => return Self::Named(known),
                    None if name.is_empty() => {}
                    None => unknown = unknown.or_else(|| Some(Name::of(name))),
                }
            }
        }
        match (in_coding, unknown) {
            (Some(charset), _) => Self::Perhaps(charset),
            (None, Some(name)) => Self::Unknown(name),
            (None, None) => Self::Named(UTF_8),
        }
    }
}

impl Packed {
    async fn unpack(mut self, wanted: &Weak<()>) -> Result<Self, Failure> {
        if self.coding == Coding::Identity {
            return Ok(self);
        }
        let packed = std::mem::take(&mut self.bytes);
        let mut rest: &[u8] = &packed;
        self.bytes = match self.coding {
            Coding::Identity => return Ok(self),
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(&mut rest);
                decoder.multiple_members(true);
                self.inflate(decoder, wanted).await
            }
            // The RFC means zlib's format by "deflate"; many senders, PHP's gzdeflate among them, leave its frame off.
            Coding::Deflate => match self.inflate(ZlibDecoder::new(&mut rest), wanted).await {
                Err(Failure::CorruptCompression) => {
                    rest = &packed;
                    self.inflate(DeflateDecoder::new(&mut rest), wanted).await
                }
                done => done,
            },
            Coding::Brotli => self.inflate(BrotliDecoder::new(&mut rest), wanted).await,
            Coding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(&mut rest, &[window]);
                decoder.multiple_members(true);
                self.inflate(decoder, wanted).await
            }
        }?;
        // Bytes behind the end belong to nothing that was announced.
        if !rest.is_empty() {
            return Err(Failure::CorruptCompression);
        }
        self.memory.grow(self.bytes.len())?;
        self.memory.shrink_to(self.bytes.len());
        Ok(self)
    }

    /// Reads a decoder to its end, but no further than a limit: a bomb goes off in somebody else's memory. Step by step, so
    /// that the work stops soon after nobody wants it any more.
    async fn inflate(
        &self,
        decoder: impl AsyncRead + Unpin,
        wanted: &Weak<()>,
    ) -> Result<Vec<u8>, Failure> {
        let mut decoder = decoder.take((self.most_bytes as u64).saturating_add(1));
        let mut bytes = Vec::new();
        let mut count = Count::default();
        let mut counted = 0;
        loop {
            if wanted.strong_count() == 0 {
                return Err(Failure::Overloaded);
            }
            let step = (&mut decoder).take(STEP).read_to_end(&mut bytes).await;
            let read = step.map_err(|_corrupt| Failure::CorruptCompression)?;
            if bytes.len() > self.most_bytes {
                return Err(Failure::BodyTooLarge(self.most_bytes));
            }
            if read == 0 {
                return Ok(bytes);
            }
            if bytes.len() > COUNTED_FROM && counts(self.charset, &bytes) {
                count.add(bytes.get(counted..).unwrap_or_default());
                counted = bytes.len();
                if count.elements() > self.most_orders {
                    return Err(Failure::BatchTooLarge(self.most_orders));
                }
            }
        }
    }

    fn take_apart(mut self) -> Result<Elements, Failure> {
        let bytes = self.bytes.len();
        let text = decode(self.bytes, self.charset)?;
        let ranges = split(&text, self.most_orders)?;
        self.memory.grow(ranges.len() * Limits::ROOM_OF_AN_ORDER)?;
        Ok(Elements {
            text,
            ranges,
            bytes,
            complete_at: self.complete_at,
            memory: self.memory,
        })
    }
}

/// Whether the structure of a text can be seen in its bytes: in these charsets a bracket, a comma or a quotation mark is
/// one, and nothing else is.
fn counts(charset: Charset, bytes: &[u8]) -> bool {
    let named = match charset {
        Charset::Named(charset) | Charset::Perhaps(charset) => charset,
        Charset::Unknown(_) => UTF_8,
    };
    let (charset, _) = Encoding::for_bom(bytes).unwrap_or((named, 0));
    charset == UTF_8 || (charset.is_single_byte() && charset.is_ascii_compatible())
}

/// Counts an array's elements while its text comes in. What is no JSON it need not count right.
#[derive(Debug, Default)]
struct Count {
    is_array: Option<bool>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    commas: usize,
}

impl Count {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.escaped {
                self.escaped = false;
                continue;
            }
            match byte {
                b'"' => self.in_text = !self.in_text,
                b'\\' => self.escaped = self.in_text,
                _ if self.in_text => {}
                b'[' | b'{' => {
                    self.is_array.get_or_insert(*byte == b'[');
                    self.depth += 1;
                }
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b',' if self.depth == 1 => self.commas += 1,
                _ => {}
            }
        }
    }

    /// So many elements have begun at least.
    fn elements(&self) -> usize {
        match self.is_array {
            Some(true) => self.commas + 1,
            _ => 0,
        }
    }
}

fn decode(bytes: Vec<u8>, charset: Charset) -> Result<String, Failure> {
    // A BOM is surer than a label: in no single-byte charset is it a way for JSON to begin.
    let (charset, bom) = match Encoding::for_bom(&bytes) {
        Some((charset, bom)) => (Charset::Named(charset), bom),
        None => (charset, 0),
    };
    let bytes = match charset {
        Charset::Named(other) if other != UTF_8 => bytes,
        _ => match String::from_utf8(bytes) {
            Ok(mut text) => {
                text.drain(..bom);
                return Ok(text);
            }
            Err(broken) => broken.into_bytes(),
        },
    };
    let charset = match charset {
        Charset::Unknown(name) => return Err(Failure::UnknownCharset(name)),
        Charset::Named(charset) | Charset::Perhaps(charset) => charset,
    };
    let text = bytes
        .get(bom..)
        .and_then(|bytes| charset.decode_without_bom_handling_and_without_replacement(bytes));
    match text {
        Some(text) => Ok(text.into_owned()),
        None if bom > 0 => Err(Failure::NotInCharset(charset.name(), Came::Other)),
        None => Err(Failure::NotInCharset(
            charset.name(),
            Came::as_bytes(&bytes),
        )),
    }
}

/// Where the array's elements stand in `text`. Only JSON's grammar is looked at, and without recursion: what an
/// element holds (a lone surrogate, `1e400`, nesting without end) spoils that element alone (contract §2).
fn split(text: &str, most_orders: usize) -> Result<Vec<Range<usize>>, Failure> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut too_many = false;
    let places = Places {
        text,
        most_orders,
        too_many: &mut too_many,
    };
    let found = match text.trim_ascii_start().as_bytes().first() {
        Some(b'[') => reader.deserialize_seq(places),
        Some(b'{') => reader.deserialize_map(places),
        _ => IgnoredAny::deserialize(&mut reader).map(|_| Err(Came::as_scalar(text))),
    };
    let found = found.and_then(|found| reader.end().map(|()| found));
    if too_many {
        return Err(Failure::BatchTooLarge(most_orders));
    }
    found
        .map_err(|error| malformed(text, &error))?
        .map_err(Failure::NotAnArray)
}

/// Notes where an array's elements stand, and stops where they are more than `most_orders`: what comes behind may not even
/// be JSON, but nobody shall pay for finding out.
struct Places<'a> {
    text: &'a str,
    most_orders: usize,
    too_many: &'a mut bool,
}

impl Places<'_> {
    fn range(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr().addr() - self.text.as_ptr().addr();
        start..start + raw.get().len()
    }
}

impl<'de> Visitor<'de> for Places<'_> {
    /// Where the elements stand, or what came that has none.
    type Value = Result<Vec<Range<usize>>, Came>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of orders")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut ranges = Vec::new();
        while let Some(raw) = elements.next_element::<&RawValue>()? {
            if ranges.len() == self.most_orders {
                *self.too_many = true;
                break;
            }
            ranges.push(self.range(raw));
        }
        Ok(Ok(ranges))
    }

    /// An object whose keys are all whole numbers, one at least, is the list of its values in the order of its keys.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut list = BTreeMap::new();
        while let Some(key) = fields.next_key::<&RawValue>()? {
            let Some(place) = ListKey::of(key.get()) else {
                drop(list);
                return no_list(key, fields).map(Err);
            };
            let range = self.range(fields.next_value()?);
            // Of a doubled key the last counts.
            list.insert(place, range);
            if list.len() > self.most_orders {
                *self.too_many = true;
                break;
            }
        }
        if list.is_empty() {
            return Ok(Err(Came::Object));
        }
        Ok(Ok(list.into_values().collect()))
    }
}

/// Reads the rest of an object that is no list, from behind this key. It may be an order, or have the orders under a key.
fn no_list<'de, A: MapAccess<'de>>(first: &'de RawValue, mut fields: A) -> Result<Came, A::Error> {
    let mut came = Came::Object;
    let mut key = Some(first);
    while let Some(this) = key {
        let value: &RawValue = fields.next_value()?;
        let name: String = serde_json::from_str(this.get()).unwrap_or_default();
        if matches!(&*name, "id" | "status" | "client" | "order_item_list") {
            while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Came::Object);
        }
        if came == Came::Object && value.get().starts_with('[') {
            came = Came::ListUnder(Name::of(&name));
        }
        key = fields.next_key()?;
    }
    Ok(came)
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
        came: Came::as_text(text),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::HeaderValue;
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::config::{Config, Environment};

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
    fn an_object_with_whole_numbers_for_keys_is_a_list_in_their_order() {
        assert_eq!(
            elements(r#"{"10":[1],"9":2,"010":3,"0":4}"#),
            ["4", "2", "[1]", "3"]
        );
        assert_eq!(
            elements(r#" {"2" : 1 , "1":5,"2": {"2":2} } "#),
            ["5", "{\"2\":2}"]
        );
        let long = "9".repeat(100_000);
        let text = format!("{{\"{long}1\":1,\"{long}\":2,\"{long}1\":3}}");
        assert_eq!(elements(&text), ["2", "3"]);
        // One key time and again takes no room.
        let text = format!("{{{}\"1\":2}}", "\"1\":1,".repeat(100_000));
        assert_eq!(elements(&text), ["2"]);
        for (text, came) in [
            ("{}", Came::Object),
            (r#"{"1":1,"a":2}"#, Came::Object),
            (r#"{"a":[],"1":1}"#, Came::ListUnder(Name::of("a"))),
        ] {
            assert_eq!(split(text, 10), Err(Failure::NotAnArray(came)), "{text}");
        }
    }

    #[test]
    fn what_comes_behind_more_orders_than_are_taken_is_not_looked_at() {
        assert_eq!(split("[1,2]", 2), Ok(vec![1..2, 3..4]));
        for more in ["[1,2,3]", "[1,2,3", "[1,2,{},and no more JSON"] {
            assert_eq!(split(more, 2), Err(Failure::BatchTooLarge(2)), "{more}");
        }
        assert!(matches!(
            split("[1,2,", 2),
            Err(Failure::MalformedJson { .. })
        ));
    }

    #[test]
    fn elements_are_counted_while_their_text_comes_in() {
        for (text, elements) in [
            ("", 0),
            ("[", 1),
            ("[1,2,3", 3),
            (r#"[{"a":[1,2,3],"b":"x,\",[{"},2"#, 2),
            (r#"["\\",2]"#, 2),
            (r#"{"a":1,"b":2}"#, 0),
        ] {
            let mut whole = Count::default();
            whole.add(text.as_bytes());
            let mut parts = Count::default();
            for byte in text.bytes() {
                parts.add(&[byte]);
            }
            let counted = [whole.elements(), parts.elements()];
            assert_eq!(counted, [elements; 2], "{text}");
        }
    }

    async fn gzip(text: &[u8]) -> Packed {
        let mut encoder = async_compression::tokio::write::GzipEncoder::new(Vec::new());
        encoder.write_all(text).await.expect("memory");
        encoder.shutdown().await.expect("memory");
        Packed {
            complete_at: Instant::now(),
            coding: Coding::Gzip,
            charset: Charset::Named(UTF_8),
            bytes: encoder.into_inner(),
            memory: MemoryBudget::new(64 * 1024 * 1024)
                .reserve(&Share::new("shop", Ipv4Addr::LOCALHOST.into())),
            most_bytes: 16 * 1024 * 1024,
            most_orders: 2,
        }
    }

    #[tokio::test]
    async fn a_bomb_is_given_up_as_soon_as_it_is_known_for_one() {
        // Broken at its end, which is never reached.
        let text = [b"[1,2,3,".as_slice(), &vec![b' '; 8 * 1024 * 1024]].concat();
        let wanted = Arc::new(());
        let mut bomb = gzip(&text).await;
        bomb.bytes.truncate(bomb.bytes.len() - 100);
        let given_up = bomb.unpack(&Arc::downgrade(&wanted)).await;
        assert_eq!(given_up.map(|_| ()), Err(Failure::BatchTooLarge(2)));
        let nobody = Weak::new();
        let given_up = gzip(b"[1]").await.unpack(&nobody).await;
        assert_eq!(given_up.map(|_| ()), Err(Failure::Overloaded));
        let whole = gzip(b"[1]").await.unpack(&Arc::downgrade(&wanted)).await;
        assert_eq!(whole.map(|body| body.bytes), Ok(b"[1]".to_vec()));
    }

    #[test]
    fn windows_1251_and_utf_16_become_utf_8_and_a_bom_goes() {
        let windows_1251 = Encoding::for_label(b"windows-1251").expect("a charset");
        let text = |bytes: &[u8], charset| decode(bytes.to_vec(), Charset::Named(charset));
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
            Err(Failure::NotInCharset("UTF-16LE", Came::Other))
        );
        assert_eq!(
            text(b"\x98", UTF_8),
            Err(Failure::NotInCharset("UTF-8", Came::Other))
        );
    }

    #[tokio::test]
    async fn a_crowds_bombs_wait_for_themselves_and_anothers_body_is_unpacked_next() {
        let config = Config::load("config/default.toml".as_ref(), &Environment::default());
        let config = Arc::new(config.expect("settings"));
        let bodies = Bodies::new(config.limits.bytes_in_flight);
        let share = |publication| Share::new(publication, Ipv4Addr::LOCALHOST.into());
        let (crowd, honest) = (share("crowd"), share("honest"));
        let one = bodies.unpacking.acquire(&crowd, 1).await.expect("a turn");
        let _other = bodies.unpacking.acquire(&crowd, 1).await.expect("a turn");
        let packed = gzip(b"[1]").await.bytes;
        let mut read = Vec::new();
        for share in [crowd, crowd, crowd, honest] {
            let before = bodies.unpacking.waiting();
            let (there, config) = (bodies.clone(), Arc::clone(&config));
            let body = Body::from(packed.clone());
            read.push(tokio::spawn(async move {
                let headers = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
                let headers = headers.into_iter().collect();
                let (limits, times) = (&config.limits, &config.times);
                there.read(&headers, body, &share, limits, times).await
            }));
            while bodies.unpacking.waiting() == before {
                tokio::task::yield_now().await;
            }
        }
        drop(one);
        assert_eq!(bodies.unpacking.waiting_of(&honest), 0);
        assert_eq!(bodies.unpacking.waiting_of(&crowd), 3);
        for read in read {
            let elements = read.await.expect("no panic").expect("a batch");
            assert_eq!(elements.ranges.len(), 1);
        }
    }
}
