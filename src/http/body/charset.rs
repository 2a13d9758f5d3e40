//! Bytes -> text.

use axum::http::{HeaderMap, header};
use encoding_rs::{Encoding, UTF_8};

use crate::http::failure::{
    Failure,
    looks_like::{LooksLike, SafeName},
};

/// A text's charset, as the headers have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// It is this one; UTF-8 where none is named, or where a single-byte one is and the text is UTF-8.
    Named(&'static Encoding),
    /// This one, unless the text is UTF-8: `Content-Encoding` names it, where a compression was due.
    UnlessUtf8(&'static Encoding),
    /// One that nobody knows, unless the text is UTF-8.
    Unknown(SafeName),
}

impl Charset {
    /// The `charset` of Content-Type, else the one in `Content-Encoding`. The media type and what separates the parameter from
    /// it make no difference: headers come joined by a comma, too.
    pub fn of(headers: &HeaderMap, in_coding: Option<&'static Encoding>) -> Self {
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
                    None => unknown = unknown.or_else(|| Some(SafeName::of(name))),
                }
            }
        }
        match (in_coding, unknown) {
            (Some(charset), _) => Self::UnlessUtf8(charset),
            (None, Some(name)) => Self::Unknown(name),
            (None, None) => Self::Named(UTF_8),
        }
    }

    /// Whether JSON's structure can be seen in the text's bytes: in these charsets a bracket, a comma or a quotation mark is
    /// one, and nothing else is.
    pub fn shows_structure(self, bytes: &[u8]) -> bool {
        let named = match self {
            Self::Named(charset) | Self::UnlessUtf8(charset) => charset,
            Self::Unknown(_) => UTF_8,
        };
        let (charset, _) = Encoding::for_bom(bytes).unwrap_or((named, 0));
        charset == UTF_8 || (charset.is_single_byte() && charset.is_ascii_compatible())
    }

    /// The text in UTF-8, without a BOM.
    pub fn decode(self, bytes: Vec<u8>) -> Result<String, Failure> {
        // A BOM is surer than a label: in no single-byte charset is it a way for JSON to begin.
        let (charset, bom) = match Encoding::for_bom(&bytes) {
            Some((charset, bom)) => (Self::Named(charset), bom),
            None => (self, 0),
        };
        // Nor is UTF-8 a text that anybody wrote in one, so a label that names one over UTF-8 is a mistake.
        let bytes = match charset {
            Self::Named(other) if other != UTF_8 && !other.is_single_byte() => bytes,
            _ => match String::from_utf8(bytes) {
                Ok(mut text) => {
                    text.drain(..bom);
                    return Ok(text);
                }
                Err(broken) => broken.into_bytes(),
            },
        };
        let charset = match charset {
            Self::Unknown(name) => return Err(Failure::UnknownCharset(name)),
            Self::Named(charset) | Self::UnlessUtf8(charset) => charset,
        };
        let text = bytes
            .get(bom..)
            .and_then(|bytes| charset.decode_without_bom_handling_and_without_replacement(bytes));
        match text {
            Some(text) => Ok(text.into_owned()),
            None if bom > 0 => Err(Failure::NotInCharset(charset.name(), LooksLike::Other)),
            None => Err(Failure::NotInCharset(
                charset.name(),
                LooksLike::of_bytes(&bytes),
            )),
        }
    }
}

/// A name in a header, without blanks and quotation marks around it.
pub fn label(text: &str) -> &str {
    text.trim_matches(|char: char| char.is_ascii_whitespace() || matches!(char, '"' | '\''))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_charset_is_named_in_content_type_or_else_in_content_encoding() {
        let encoding = |name: &str| Encoding::for_label(name.as_bytes()).expect("a charset");
        let (cp1251, koi8_r) = (encoding("windows-1251"), encoding("koi8-r"));
        for (content_type, in_coding, due) in [
            (&[][..], None, Charset::Named(UTF_8)),
            (&["application/json"], None, Charset::Named(UTF_8)),
            (&["a/b; charset=windows-1251"], None, Charset::Named(cp1251)),
            (&["a/b;CHARSET = 'CP1251'; c"], None, Charset::Named(cp1251)),
            (
                &["a/b, a/b; charset=\"koi8-r\""],
                None,
                Charset::Named(koi8_r),
            ),
            (
                &["charset=", "charset=koi8-r"],
                None,
                Charset::Named(koi8_r),
            ),
            (
                &["charset=x", "charset=koi8-r"],
                None,
                Charset::Named(koi8_r),
            ),
            (
                &["charset=utf8mb4"],
                None,
                Charset::Unknown(SafeName::of("utf8mb4")),
            ),
            (&["charset=x"], Some(koi8_r), Charset::UnlessUtf8(koi8_r)),
            (&["charset=cp1251"], Some(koi8_r), Charset::Named(cp1251)),
            (&["charset koi8-r"], None, Charset::Named(UTF_8)),
        ] {
            let mut headers = HeaderMap::new();
            for value in content_type {
                headers.append(header::CONTENT_TYPE, HeaderValue::from_static(value));
            }
            assert_eq!(Charset::of(&headers, in_coding), due, "{content_type:?}");
        }
    }

    #[test]
    fn windows_1251_and_utf_16_become_utf_8_and_a_bom_goes() {
        let windows_1251 = Encoding::for_label(b"windows-1251").expect("a charset");
        let text = |bytes: &[u8], charset| Charset::Named(charset).decode(bytes.to_vec());
        assert_eq!(
            text(b"[\"\xCA\xF3\xF2\"]", windows_1251),
            Ok("[\"Кут\"]".into())
        );
        assert_eq!(text(b"\xEF\xBB\xBF[]", UTF_8), Ok("[]".into()));
        assert_eq!(text(b"\xEF\xBB\xBF[]", windows_1251), Ok("[]".into()));
        assert_eq!(
            text("[\"Кут\"]".as_bytes(), windows_1251),
            Ok("[\"Кут\"]".into())
        );
        let both = text(b"[\"\xD0\x9A\xCA\"]", windows_1251);
        assert_eq!(both, Ok("[\"РљК\"]".into()), "as a whole it is no UTF-8");
        let shift_jis = Encoding::for_label(b"shift_jis").expect("a charset");
        assert_eq!(
            text(b"\xC2\xB1", shift_jis),
            Ok("ﾂｱ".into()),
            "no single bytes"
        );
        assert_eq!(text(b"\xFE\xFF\x04\x1A", UTF_8), Ok("К".into()));
        assert_eq!(text(b"\xFF\xFE\x1A\x04", UTF_8), Ok("К".into()));
        assert_eq!(
            text(b"\xFF\xFE\x1A", UTF_8),
            Err(Failure::NotInCharset("UTF-16LE", LooksLike::Other))
        );
        assert_eq!(
            text(b"\x98", UTF_8),
            Err(Failure::NotInCharset("UTF-8", LooksLike::Other))
        );
    }
}
