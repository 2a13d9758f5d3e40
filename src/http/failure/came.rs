//! What came where a JSON array of orders was due, as far as a glance tells: whoever reads a 400 shall see his slip in it
//! (contract §1). Nothing of what came is repeated but a name of a few harmless characters.

use std::fmt;

use encoding_rs::WINDOWS_1251;
use percent_encoding::percent_decode_str;

use crate::order::fault::Language;

/// So much of a text is looked at where its beginning tells what it is.
const GLANCE: usize = 1024;

/// What came instead of the orders' array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Nothing that has a name, or the array itself with a slip in it.
    Other,
    /// An empty body, or one of blanks.
    Nothing,
    /// The same, with JSON in the query of the address.
    Query,
    /// `name=value`, or a text that is percent-encoded.
    Form,
    /// `multipart/form-data`.
    Multipart,
    /// XML or HTML.
    Markup,
    /// UTF-16 without a BOM.
    Utf16,
    /// A text with a NUL in it.
    Nul,
    /// Bytes that look like this charset.
    Windows1251,
    /// A packed body whose `Content-Encoding` says nothing of it.
    Packed,
    /// One object, an order most likely.
    Object,
    /// An object with a list under this key.
    ListUnder(Name),
    /// A JSON text inside a JSON string.
    JsonInText,
}

impl Came {
    /// Of a text that is no JSON.
    pub fn as_text(text: &str) -> Self {
        let text = text.trim_matches(|char: char| char.is_whitespace() || char == '\u{FEFF}');
        if text.is_empty() {
            return Self::Nothing;
        }
        if is_utf_16(text.as_bytes()) {
            return Self::Utf16;
        }
        if text.contains('\0') {
            return Self::Nul;
        }
        if text.starts_with('<') {
            return Self::Markup;
        }
        let beginning = text.as_bytes();
        let beginning = beginning.get(..GLANCE).unwrap_or(beginning);
        let beginning = beginning.to_ascii_lowercase();
        let disposition = b"content-disposition";
        if beginning.starts_with(b"--")
            && (beginning.windows(disposition.len())).any(|window| window == disposition)
        {
            return Self::Multipart;
        }
        if is_form(&beginning) {
            return Self::Form;
        }
        Self::Other
    }

    /// Of bytes that are no text in the charset that is theirs.
    pub fn as_bytes(bytes: &[u8]) -> Self {
        const GZIP: &[u8] = &[0x1F, 0x8B];
        const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
        if bytes.starts_with(GZIP) || bytes.starts_with(ZSTD) {
            return Self::Packed;
        }
        if is_utf_16(bytes) {
            return Self::Utf16;
        }
        // Letters have the upper quarter of the charset to themselves; in hardly another text are they most of it.
        let beyond_ascii = bytes.iter().filter(|byte| !byte.is_ascii()).count();
        let is_letter = |byte: &&u8| matches!(byte, 0xC0..=0xFF | 0xA8 | 0xB8);
        let letters = bytes.iter().filter(is_letter).count();
        let (_, broken) = WINDOWS_1251.decode_without_bom_handling(bytes);
        if !broken && letters * 4 > beyond_ascii * 3 {
            return Self::Windows1251;
        }
        Self::Other
    }

    /// Of a JSON value that is neither a list nor an object.
    pub fn as_scalar(text: &str) -> Self {
        let Some(mut inside) = text.trim_start().strip_prefix('"') else {
            return Self::Other;
        };
        let blanks = ["\\n", "\\r", "\\t", "\\ufeff"];
        while let Some(rest) = blanks.iter().find_map(|blank| inside.strip_prefix(blank)) {
            inside = rest;
        }
        if inside.trim_start().starts_with(['[', '{']) {
            Self::JsonInText
        } else {
            Self::Other
        }
    }

    /// Where no body came, and the address's query has JSON.
    #[must_use]
    pub(super) fn with_query(self, query: Option<&str>) -> Self {
        let mut values = query.unwrap_or_default().split('&').map(|parameter| {
            let value = parameter
                .split_once('=')
                .map_or(parameter, |(_, value)| value);
            percent_decode_str(value).decode_utf8_lossy()
        });
        if self == Self::Nothing
            && values.any(|value| value.trim_start_matches(['+', ' ']).starts_with(['[', '{']))
        {
            return Self::Query;
        }
        self
    }

    /// The sentence that follows the one that says what is wrong, or nothing.
    pub fn sentence(self, language: Language) -> &'static str {
        let (ru, en) = match self {
            Self::Other | Self::Object | Self::ListUnder(_) | Self::JsonInText => ("", ""),
            Self::Nothing => (
                " Тело пустое: массив заказов шлют в теле запроса.",
                " The body is empty: the array of orders goes into the body.",
            ),
            Self::Query => (
                " Тело пустое, а JSON пришёл в адресе после «?»: пришлите его в теле запроса.",
                " The body is empty, and the JSON came in the address behind the \"?\": send it in the body.",
            ),
            Self::Form => (
                " Пришла форма (поле=значение): пришлите в теле сам JSON, без имени поля и без процентов.",
                " A form came (field=value): send the JSON itself as the body, without a field's name and without percent signs.",
            ),
            Self::Multipart => (
                " Пришла форма (multipart/form-data): пришлите в теле сам JSON.",
                " A form came (multipart/form-data): send the JSON itself as the body.",
            ),
            Self::Markup => (
                " Пришёл XML или HTML, а ожидается JSON.",
                " XML or HTML came, and JSON is expected.",
            ),
            Self::Utf16 => (
                " Похоже на UTF-16 без BOM: пришлите UTF-8 или назовите charset=utf-16le либо utf-16be в Content-Type.",
                " It looks like UTF-16 without a BOM: send UTF-8, or name charset=utf-16le or utf-16be in Content-Type.",
            ),
            Self::Nul => (
                " В тексте есть нулевой байт (NUL).",
                " The text has a NUL byte in it.",
            ),
            Self::Windows1251 => (
                " Похоже на windows-1251: тогда Content-Type: application/json; charset=windows-1251.",
                " It looks like windows-1251: then Content-Type: application/json; charset=windows-1251.",
            ),
            Self::Packed => (
                " Похоже, что тело сжато: тогда назовите сжатие в Content-Encoding.",
                " It looks compressed: then name the compression in Content-Encoding.",
            ),
        };
        match language {
            Language::Ru => ru,
            Language::En => en,
        }
    }
}

/// Whether the text is one character and one NUL by turns: JSON begins with two characters of ASCII.
fn is_utf_16(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 1..=0x7F, 0, ..] | [1..=0x7F, 0, 1..=0x7F, 0, ..])
}

/// Whether a text begins as `name=value` does, or its first bracket is percent-encoded.
fn is_form(beginning: &[u8]) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.[]%+".contains(byte);
    let name = beginning.iter().take_while(|byte| is_of_name(byte)).count();
    let begins_as_name = beginning.first().is_some_and(|first| *first != b'[');
    (begins_as_name && name > 0 && beginning.get(name) == Some(&b'='))
        || beginning.starts_with(b"%5b")
        || beginning.starts_with(b"%7b")
}

/// The most bytes of a name that came that are repeated.
const NAME: usize = 40;

/// A name that a caller wrote, cut, with nothing but letters, digits and `_-.:` in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    text: [u8; NAME],
    length: u8,
}

impl Name {
    /// What of a text may be repeated.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut name = Self {
            text: [0; NAME],
            length: 0,
        };
        let harmless = |char: &char| char.is_alphanumeric() || "_-.:".contains(*char);
        for char in text.chars().take(NAME).filter(harmless) {
            let at = usize::from(name.length);
            let Some(room) = name.text.get_mut(at..at + char.len_utf8()) else {
                break;
            };
            name.length += u8::try_from(char.encode_utf8(room).len()).unwrap_or(0);
        }
        name
    }

    pub fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.length));
        text.and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_json_is_known_by_its_beginning() {
        for (text, came) in [
            ("", Came::Nothing),
            (" \u{FEFF}\r\n\u{A0}", Came::Nothing),
            ("orders=[{}]", Came::Form),
            ("data[0][id]=1&data[1][id]=2", Came::Form),
            ("%5B%7B%22id%22", Came::Form),
            ("%7b%22id", Came::Form),
            ("a=", Came::Form),
            ("=", Came::Other),
            ("[a=1]", Came::Other),
            ("{a=1}", Came::Other),
            ("id: 1", Came::Other),
            ("[{\"id\":1},]", Came::Other),
            ("<?xml version=\"1.0\"?>", Came::Markup),
            (
                "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n",
                Came::Multipart,
            ),
            ("--x", Came::Other),
            ("[\0{\0\"\0", Came::Utf16),
            ("\0[\0{", Came::Utf16),
            ("[]\0", Came::Nul),
        ] {
            assert_eq!(Came::as_text(text), came, "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_known_by_what_they_look_like() {
        let (windows_1251, _, _) = WINDOWS_1251.encode("[{\"city\":\"Сыктывкар № 1\"}]");
        for (bytes, came) in [
            (&*windows_1251, Came::Windows1251),
            (b"\x1F\x8B\x08\x00\xFF", Came::Packed),
            (b"\x28\xB5\x2F\xFD\xFF", Came::Packed),
            (b"[\0\"\0\xD8\x04", Came::Utf16),
            (b"[\"\x81\x82\x83\xE0\"]", Came::Other),
            (b"[\"\x98\xE0\xE1\xE2\"]", Came::Other),
        ] {
            assert_eq!(Came::as_bytes(bytes), came, "{bytes:?}");
        }
    }

    #[test]
    fn of_a_name_a_few_harmless_characters_are_repeated() {
        assert_eq!(Name::of("orders").as_str(), "orders");
        assert_eq!(Name::of("заказы_1").as_str(), "заказы_1");
        assert_eq!(Name::of("<b>\u{202E}\n\"x\"").as_str(), "bx");
        assert_eq!(Name::of(&"ж".repeat(100)).as_str(), "ж".repeat(20));
        assert_eq!(Name::of("").as_str(), "");
    }
}
