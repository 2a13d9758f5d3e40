//! How whatever a page shows is written into it: as text, and with nothing that turns the direction of writing or cannot be seen.
//! Templates name no escaper, so none of them can forget it (askama.toml).

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};

/// For every page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page;

impl Escaper for Page {
    fn write_escaped_str<W: Write>(&self, mut page: W, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_misleading) {
            let (before, from) = rest.split_at(at);
            Html.write_escaped_str(&mut page, before)?;
            let mut symbols = from.chars();
            if let Some(symbol) = symbols.next() {
                write!(page, "[U+{:04X}]", u32::from(symbol))?;
            }
            rest = symbols.as_str();
        }
        Html.write_escaped_str(&mut page, rest)
    }
}

/// Control characters, and those that make a text look like another. Soft hyphens and joiners are left alone: texts have them.
fn is_misleading(symbol: char) -> bool {
    (symbol.is_control() && !matches!(symbol, '\n' | '\r' | '\t'))
        || matches!(
            symbol,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
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
    }
}
