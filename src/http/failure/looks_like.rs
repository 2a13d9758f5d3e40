//! What a body that is no JSON array of orders looks like at a glance, so that the reader of a 400 sees his mistake in it
//! (contract §1). Nothing of the body is repeated but a name of a few harmless characters.

use std::fmt;

use encoding_rs::WINDOWS_1251;
use percent_encoding::percent_decode_str;

/// How much of a text is examined where its beginning tells what it is.
const GLANCE: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LooksLike {
    /// None of the others; or the array itself with a mistake in it.
    Other,
    /// An empty body, or one of blanks.
    Nothing,
    /// The same, with JSON in the URL's query.
    Query,
    /// `name=value`, or a text that is percent-encoded.
    Form,
    Multipart,
    Markup,
    Utf16,
    Nul,
    Windows1251,
    Compressed,
    /// One object, an order most likely.
    Object,
    /// An object with a list under this key, or this path of keys.
    ListUnder(SafeName),
    JsonInText,
}

impl LooksLike {
    /// A text that is no JSON.
    pub fn of_text(text: &str) -> Self {
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

    /// Bytes that are no text in their charset.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        const GZIP: &[u8] = &[0x1F, 0x8B];
        const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
        if bytes.starts_with(GZIP) || bytes.starts_with(ZSTD) {
            return Self::Compressed;
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

    /// A JSON value that is neither a list nor an object.
    pub fn of_scalar(text: &str) -> Self {
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

    /// The same of a request with that query.
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

    /// What follows the sentence that says what is wrong, in Russian and in English.
    pub(super) fn hint(self) -> (&'static str, &'static str) {
        match self {
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
            Self::Compressed => (
                " Похоже, что тело сжато: тогда назовите сжатие в Content-Encoding.",
                " It looks compressed: then name the compression in Content-Encoding.",
            ),
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

/// The most bytes of a caller's name that are repeated.
const NAME: usize = 40;

/// A name that a caller wrote, cut to its first letters, digits and `_-.:`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SafeName {
    text: [u8; NAME],
    length: u8,
}

impl SafeName {
    /// What may be repeated of a text.
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

    fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.length));
        text.and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_json_is_known_by_its_beginning() {
        for (text, due) in [
            ("", LooksLike::Nothing),
            (" \u{FEFF}\r\n\u{A0}", LooksLike::Nothing),
            ("orders=[{}]", LooksLike::Form),
            ("data[0][id]=1&data[1][id]=2", LooksLike::Form),
            ("%5B%7B%22id%22", LooksLike::Form),
            ("%7b%22id", LooksLike::Form),
            ("a=", LooksLike::Form),
            ("=", LooksLike::Other),
            ("[a=1]", LooksLike::Other),
            ("{a=1}", LooksLike::Other),
            ("id: 1", LooksLike::Other),
            ("[{\"id\":1},]", LooksLike::Other),
            ("<?xml version=\"1.0\"?>", LooksLike::Markup),
            (
                "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n",
                LooksLike::Multipart,
            ),
            ("--x", LooksLike::Other),
            ("[\0{\0\"\0", LooksLike::Utf16),
            ("\0[\0{", LooksLike::Utf16),
            ("[]\0", LooksLike::Nul),
        ] {
            assert_eq!(LooksLike::of_text(text), due, "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_known_by_what_they_look_like() {
        let (windows_1251, _, _) = WINDOWS_1251.encode("[{\"city\":\"Сыктывкар № 1\"}]");
        for (bytes, due) in [
            (&*windows_1251, LooksLike::Windows1251),
            (b"\x1F\x8B\x08\x00\xFF", LooksLike::Compressed),
            (b"\x28\xB5\x2F\xFD\xFF", LooksLike::Compressed),
            (b"[\0\"\0\xD8\x04", LooksLike::Utf16),
            (b"[\"\x81\x82\x83\xE0\"]", LooksLike::Other),
            (b"[\"\x98\xE0\xE1\xE2\"]", LooksLike::Other),
        ] {
            assert_eq!(LooksLike::of_bytes(bytes), due, "{bytes:?}");
        }
    }

    #[test]
    fn of_a_name_a_few_harmless_characters_are_repeated() {
        assert_eq!(SafeName::of("orders").as_str(), "orders");
        assert_eq!(SafeName::of("заказы_1").as_str(), "заказы_1");
        assert_eq!(SafeName::of("<b>\u{202E}\n\"x\"").as_str(), "bx");
        assert_eq!(SafeName::of(&"ж".repeat(100)).as_str(), "ж".repeat(20));
        assert_eq!(SafeName::of("").as_str(), "");
    }
}
