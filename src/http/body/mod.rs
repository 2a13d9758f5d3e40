//! Bytes -> a JSON array's elements: limits, compression, charset, splitting (contract §1). And the way back: the response's
//! body.

mod charset;
mod compression;
pub(super) mod drain;
pub(super) mod reply;
mod split;

use std::{
    ops::Range,
    sync::{Arc, Weak},
    time::Instant,
};

use axum::{
    body::{Body, HttpBody},
    http::HeaderMap,
};
use encoding_rs::UTF_8;
use http_body_util::BodyExt;
use tokio::{runtime::Handle, time::timeout};

use self::{
    charset::Charset,
    compression::{Compressed, Compression},
    split::split,
};
use super::{
    bounds::{COMPRESSION_OVERHEAD, SMALL_BODY, UNPACKED_AT_ONCE},
    failure::Failure,
};
use crate::{
    config::{Limits, Times},
    fair_semaphore::FairSemaphore,
    memory::{MemoryBudget, Reservation},
    share::Share,
};

/// Reads bodies: within the memory that is left, and large ones one after the other.
#[derive(Debug, Clone)]
pub struct Bodies {
    /// For bodies and the responses to them.
    pub memory: MemoryBudget,
    /// See [`UNPACKED_AT_ONCE`].
    unpacking: FairSemaphore,
    limits: Limits,
    times: Times,
}

/// A batch as text, and where its orders are in it.
#[derive(Debug)]
pub struct Elements {
    /// The JSON array in UTF-8, without a BOM; or the object that is one.
    pub text: String,
    /// The array's elements in their order, in bytes of `text`; each one raw JSON value, whatever is in it.
    pub ranges: Vec<Range<usize>>,
    pub bytes: usize,
    /// When the whole body had come: from then on `times.answer` counts.
    pub complete_at: Instant,
    /// To be kept as long as the batch and its response.
    pub memory: Reservation,
}

/// A body that is a file.
#[derive(Debug)]
pub struct File {
    pub bytes: Vec<u8>,
    /// To be kept as long as what is in it.
    pub memory: Reservation,
}

/// A body of which every byte has come.
struct CompleteBody {
    complete_at: Instant,
    compression: Option<Compression>,
    charset: Charset,
    bytes: Vec<u8>,
    memory: Reservation,
    most_bytes: usize,
    most_orders: usize,
}

impl Elements {
    /// Each as it came.
    pub fn each(&self) -> impl Iterator<Item = &str> {
        self.ranges.iter().map(|range| &self.text[range.clone()])
    }
}

impl Bodies {
    pub fn new(limits: &Limits, times: &Times) -> Self {
        Self {
            memory: MemoryBudget::new(limits.bytes_in_flight),
            unpacking: FairSemaphore::new(UNPACKED_AT_ONCE),
            limits: limits.clone(),
            times: times.clone(),
        }
    }

    /// Reads a request's body within the limits and times, and splits it.
    /// Fails with the 400s, 408 and 413s of contract §1, and `overloaded` where no memory is left or no permit came in time.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        share: &Share,
    ) -> Result<Elements, Failure> {
        let body = self.complete(headers, body, share).await?;
        if body.compression.is_none() && body.bytes.len() <= SMALL_BODY {
            return body.split();
        }
        timeout(self.times.answer, self.unpack(body, CompleteBody::split))
            .await
            .map_err(|_elapsed| Failure::Overloaded)?
    }

    /// Reads a body that is a file: decompressed, and in UTF-8 where its charset is named; else as it came.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_file(
        &self,
        headers: &HeaderMap,
        body: Body,
        share: &Share,
    ) -> Result<File, Failure> {
        let body = self.complete(headers, body, share).await?;
        timeout(self.times.answer, self.unpack(body, CompleteBody::file))
            .await
            .map_err(|_elapsed| Failure::Overloaded)?
    }

    /// Waits until every byte has come.
    async fn complete(
        &self,
        headers: &HeaderMap,
        body: Body,
        share: &Share,
    ) -> Result<CompleteBody, Failure> {
        let (compression, charset) = Compression::of(headers)?;
        let charset = Charset::of(headers, charset);
        let mut memory = self.memory.reserve(share);
        let receive = self.receive(body, compression.is_some(), &mut memory);
        let bytes = timeout(self.times.body, receive)
            .await
            .map_err(|_elapsed| Failure::RequestTimeout)??;
        Ok(CompleteBody {
            complete_at: Instant::now(),
            compression,
            charset,
            bytes,
            memory,
            most_bytes: self.limits.body_bytes,
            most_orders: self.limits.batch_orders,
        })
    }

    async fn receive(
        &self,
        mut body: Body,
        is_compressed: bool,
        memory: &mut Reservation,
    ) -> Result<Vec<u8>, Failure> {
        let limit = self.limits.body_bytes;
        let most = if is_compressed {
            limit.saturating_add(COMPRESSION_OVERHEAD)
        } else {
            limit
        };
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > most {
            return Err(Failure::BodyTooLarge(limit));
        }
        // What is announced has not come yet: memory grows with what really comes.
        let mut bytes = Vec::with_capacity(announced.min(SMALL_BODY));
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_broken| Failure::BodyCutShort)?.into_data() else {
                continue; // trailers
            };
            if data.len() > most - bytes.len() {
                return Err(Failure::BodyTooLarge(limit));
            }
            memory.grow(bytes.len() + data.len())?;
            bytes.extend_from_slice(&data);
        }
        // It grew by doubling, and is kept until its batch is answered.
        bytes.shrink_to_fit();
        Ok(bytes)
    }

    /// Decompresses a body in its turn and does with it what there is to do, off the threads that serve everybody. Dropped, the
    /// work stops.
    async fn unpack<T: Send + 'static>(
        &self,
        body: CompleteBody,
        then: fn(CompleteBody) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let permit = self.unpacking.acquire(body.memory.share(), 1).await?;
        let runtime = Handle::current();
        let wanted = Arc::new(());
        let still_wanted = Arc::downgrade(&wanted);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            // The decoders are async, but over bytes at hand they never wait: this only turns their crank.
            then(runtime.block_on(body.decompress(&still_wanted))?)
        })
        .await
        .map_err(|_panic| Failure::Internal)?
    }
}

impl CompleteBody {
    async fn decompress(mut self, wanted: &Weak<()>) -> Result<Self, Failure> {
        let Some(compression) = self.compression else {
            return Ok(self);
        };
        let compressed = Compressed {
            bytes: &self.bytes,
            charset: self.charset,
            most_bytes: self.most_bytes,
            most_orders: self.most_orders,
            wanted,
        };
        self.bytes = compressed.decompress(compression).await?;
        self.memory.grow(self.bytes.len())?;
        self.memory.shrink_to(self.bytes.len());
        Ok(self)
    }

    fn file(self) -> Result<File, Failure> {
        // Without a charset's name a file may be in one that it shows by itself.
        let is_named = self.charset != Charset::Named(UTF_8);
        Ok(File {
            bytes: if is_named {
                self.charset.decode(self.bytes)?.into_bytes()
            } else {
                self.bytes
            },
            memory: self.memory,
        })
    }

    fn split(mut self) -> Result<Elements, Failure> {
        let bytes = self.bytes.len();
        let text = self.charset.decode(self.bytes)?;
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use async_compression::tokio::write::GzipEncoder;
    use axum::http::{HeaderValue, header};
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::config::{Config, Environment};

    pub(super) async fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzipEncoder::new(Vec::new());
        encoder.write_all(text).await.expect("memory");
        encoder.shutdown().await.expect("memory");
        encoder.into_inner()
    }

    #[tokio::test]
    async fn a_crowds_bombs_wait_for_themselves_and_anothers_body_is_unpacked_next() {
        let config = Config::load("config/default.toml".as_ref(), &Environment::default());
        let config = config.expect("settings");
        let bodies = Bodies::new(&config.limits, &config.times);
        let share = |publication| Share::new(publication, Ipv4Addr::LOCALHOST.into());
        let (crowd, honest) = (share("crowd"), share("honest"));
        let acquire = async || bodies.unpacking.acquire(&crowd, 1).await.expect("a permit");
        let (one, _other) = (acquire().await, acquire().await);
        let packed = gzip(b"[1]").await;
        let mut read = Vec::new();
        for share in [crowd, crowd, crowd, honest] {
            let before = bodies.unpacking.waiting();
            let (there, body) = (bodies.clone(), Body::from(packed.clone()));
            read.push(tokio::spawn(async move {
                let headers = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
                let headers = headers.into_iter().collect();
                there.read(&headers, body, &share).await
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
