//! How whatever a page shows is written into it: as text, and with nothing that turns the direction of writing or cannot be seen.
//! Templates name no escaper, so none of them can forget it (askama.toml).

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use askama::filters::{Escaper, Html};

/// For every page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page;

impl Escaper for Page {
    fn write_escaped_str<W: Write>(&self, page: W, text: &str) -> fmt::Result {
        Html.write_escaped_str(page, &visible(text))
    }
}

/// The text with what misleads written out.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_misleading) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for symbol in text.chars() {
        if is_misleading(symbol) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "[U+{:04X}]", u32::from(symbol));
        } else {
            shown.push(symbol);
        }
    }
    shown.into()
}

/// Control characters, and those that make a text look like another. Soft hyphens and joiners are left alone: texts have them.
fn is_misleading(symbol: char) -> bool {
    (symbol.is_control() && !matches!(symbol, '\n' | '\r' | '\t'))
        || matches!(
            symbol,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// A JSON text with such characters as JSON writes them, for a field in which it is edited: what is shown there comes back.
pub(super) fn spelled_out(json: &str) -> Cow<'_, str> {
    if !json.contains(is_misleading) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for symbol in json.chars() {
        if is_misleading(symbol) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\u{:04x}", u32::from(symbol));
        } else {
            text.push(symbol);
        }
    }
    Cow::Owned(text)
}

/// A line of text without them, for a field in which it is edited.
pub(super) fn without_misleading(line: &str) -> String {
    line.chars()
        .filter(|symbol| !is_misleading(*symbol))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut page = String::new();
        Page.write_escaped_str(&mut page, text)
            .expect("a String takes it");
        page
    }

    #[test]
    fn markup_is_text_and_marks_of_direction_are_seen() {
        assert_eq!(
            escaped("<script>\"a\" & 'b'</script>"),
            "&#60;script&#62;&#34;a&#34; &#38; &#39;b&#39;&#60;/script&#62;"
        );
        assert_eq!(escaped("=HYPERLINK(\"x\")"), "=HYPERLINK(&#34;x&#34;)");
        assert_eq!(escaped("a\u{202e}b<\u{1b}"), "a[U+202E]b&#60;[U+001B]");
        assert_eq!(escaped("Иванов\nИ.\u{ad}"), "Иванов\nИ.\u{ad}");
        assert_eq!(
            spelled_out("{\r\n\"a\":\"\u{202e}\"}"),
            "{\r\n\"a\":\"\\u202e\"}"
        );
    }
}
