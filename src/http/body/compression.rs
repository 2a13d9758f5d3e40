//! `Content-Encoding`: what it says, and undoing it.

use std::sync::Weak;

use async_compression::{
    tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder},
    zstd::DParameter,
};
use axum::http::{HeaderMap, header};
use encoding_rs::{Encoding, REPLACEMENT};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{
    charset::{Charset, label},
    split::ElementCounter,
};
use crate::http::{bounds::ZSTD_WINDOW_LOG, failure::Failure};

/// A body is decompressed in steps of so many bytes.
const STEP: u64 = 256 * 1024;
/// From here on its elements are counted while it is decompressed; before that it costs less to read it to its end.
const COUNTED_FROM: usize = 1024 * 1024;

/// Codings that make other bytes of a body, and that we cannot undo. What else a sender writes there (`json`, `base64`, `chunked`)
/// names none: the body is not compressed.
const NOT_UNDONE: [&str; 37] = [
    "7z",
    "aes128gcm",
    "aescrypt",
    "brotli",
    "bz",
    "bz2",
    "bzip",
    "bzip2",
    "compress",
    "dcb",
    "dcz",
    "exi",
    "gz",
    "gzipped",
    "lz",
    "lz4",
    "lz77",
    "lzf",
    "lzfse",
    "lzip",
    "lzma",
    "lzma2",
    "lzo",
    "lzw",
    "pack200-gzip",
    "ppmd",
    "rar",
    "rot13",
    "sbr",
    "sdch",
    "snappy",
    "snappy-framed",
    "xz",
    "zip",
    "zlib",
    "zst",
    "zstandard",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Compression {
    /// What `Content-Encoding` says; and the charset in it, for senders confuse the two headers.
    pub fn of(headers: &HeaderMap) -> Result<(Option<Self>, Option<&'static Encoding>), Failure> {
        let (mut compression, mut charset) = (None, None);
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let names = String::from_utf8_lossy(value.as_bytes());
            for name in names.split([',', ';']) {
                let name = label(name).to_ascii_lowercase();
                let next = match name.as_str() {
                    "gzip" | "x-gzip" => Self::Gzip,
                    "deflate" => Self::Deflate,
                    "br" => Self::Brotli,
                    "zstd" => Self::Zstd,
                    name if NOT_UNDONE.contains(&name.strip_prefix("x-").unwrap_or(name)) => {
                        return Err(Failure::UnknownContentEncoding);
                    }
                    name => {
                        let name = name.strip_prefix("charset=").map_or(name, label);
                        let known = Encoding::for_label(name.as_bytes());
                        // What the web's standards no longer decode.
                        if known == Some(REPLACEMENT) {
                            return Err(Failure::UnknownContentEncoding);
                        }
                        charset = charset.or(known);
                        continue;
                    }
                };
                // Nobody compresses twice, but a bomb's maker might.
                if compression.replace(next).is_some() {
                    return Err(Failure::UnknownContentEncoding);
                }
            }
        }
        Ok((compression, charset))
    }
}

/// A compressed body, and how far to go with it.
pub struct Compressed<'a> {
    pub bytes: &'a [u8],
    pub charset: Charset,
    pub most_bytes: usize,
    pub most_orders: usize,
    /// The work stops soon after nobody holds this any more.
    pub wanted: &'a Weak<()>,
}

impl Compressed<'_> {
    pub async fn decompress(&self, compression: Compression) -> Result<Vec<u8>, Failure> {
        let mut rest = self.bytes;
        let bytes = match compression {
            Compression::Gzip => {
                let mut decoder = GzipDecoder::new(&mut rest);
                decoder.multiple_members(true);
                self.read(decoder).await
            }
            // The RFC means zlib's format by "deflate"; many senders, PHP's gzdeflate among them, leave its frame off.
            Compression::Deflate => match self.read(ZlibDecoder::new(&mut rest)).await {
                Err(Failure::CorruptCompression) => {
                    rest = self.bytes;
                    self.read(DeflateDecoder::new(&mut rest)).await
                }
                done => done,
            },
            Compression::Brotli => self.read(BrotliDecoder::new(&mut rest)).await,
            Compression::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(&mut rest, &[window]);
                decoder.multiple_members(true);
                self.read(decoder).await
            }
        }?;
        // Bytes after the end belong to nothing that was announced.
        if rest.is_empty() {
            Ok(bytes)
        } else {
            Err(Failure::CorruptCompression)
        }
    }

    /// Reads a decoder to its end, but no further than the limits: a bomb goes off in somebody else's memory.
    async fn read(&self, decoder: impl AsyncRead + Unpin) -> Result<Vec<u8>, Failure> {
        let mut decoder = decoder.take((self.most_bytes as u64).saturating_add(1));
        let mut bytes = Vec::new();
        let mut counter = ElementCounter::default();
        let mut counted_to = 0;
        loop {
            if self.wanted.strong_count() == 0 {
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
            if bytes.len() > COUNTED_FROM && self.charset.shows_structure(&bytes) {
                counter.add(bytes.get(counted_to..).unwrap_or_default());
                counted_to = bytes.len();
                if counter.elements() > self.most_orders {
                    return Err(Failure::BatchTooLarge(self.most_orders));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::HeaderValue;
    use encoding_rs::UTF_8;

    use super::*;
    use crate::http::body::tests::gzip;

    #[test]
    fn content_encoding_names_one_compression_and_perhaps_a_charset() {
        let koi8_r = Encoding::for_label(b"koi8-r").expect("a charset");
        let refused = Err(Failure::UnknownContentEncoding);
        for (values, due) in [
            (&[][..], Ok((None, None))),
            (&["", "identity, none ;binary", "8bit"], Ok((None, None))),
            (&["gzip"], Ok((Some(Compression::Gzip), None))),
            (
                &["'X-GZip'", "identity"],
                Ok((Some(Compression::Gzip), None)),
            ),
            (&["DEFLATE"], Ok((Some(Compression::Deflate), None))),
            (&["br"], Ok((Some(Compression::Brotli), None))),
            (&["utf-8, zstd"], Ok((Some(Compression::Zstd), Some(UTF_8)))),
            (&["charset=koi8-r", "utf-8"], Ok((None, Some(koi8_r)))),
            (
                &["json", "text/plain; chunked", "null, base64", "rot14"],
                Ok((None, None)),
            ),
            (&["json, gzip"], Ok((Some(Compression::Gzip), None))),
            (&["gzip, gzip"], refused),
            (&["gzip", "br"], refused),
            (&["rot13"], refused),
            (&["x-compress"], refused),
            (&["LZMA"], refused),
            (&["utf-8, xz"], refused),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(Compression::of(&headers), due, "{values:?}");
        }
    }

    #[tokio::test]
    async fn a_bomb_is_given_up_as_soon_as_it_is_known_for_one() {
        let wanted_by = Arc::new(());
        let decompress = async |bytes: &[u8], wanted: &Weak<()>| {
            let compressed = Compressed {
                bytes,
                charset: Charset::Named(UTF_8),
                most_bytes: 16 * 1024 * 1024,
                most_orders: 2,
                wanted,
            };
            compressed.decompress(Compression::Gzip).await
        };
        // Broken at its end, which is never reached.
        let text = [b"[1,2,3,".as_slice(), &vec![b' '; 8 * 1024 * 1024]].concat();
        let mut bomb = gzip(&text).await;
        bomb.truncate(bomb.len() - 100);
        let small = gzip(b"[1]").await;
        let wanted = Arc::downgrade(&wanted_by);
        assert_eq!(
            decompress(&bomb, &wanted).await,
            Err(Failure::BatchTooLarge(2))
        );
        assert_eq!(decompress(&small, &wanted).await, Ok(b"[1]".to_vec()));
        let nobody = Weak::new();
        assert_eq!(decompress(&small, &nobody).await, Err(Failure::Overloaded));
    }
}
