//! What senders sent, for people to read: nothing in it steers a terminal, and JSON is laid out.

use std::{borrow::Cow, fmt::Write as _};

/// A text of a sender's as a part of a line: without control characters and those that turn the direction of writing, for
/// what senders sent must not steer the operator's terminal. They are written as JSON writes them.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    without(text, steers)
}

/// The same for text of several lines: what every command prints goes through here last, whatever it put together. JSON
/// stays the same JSON, for such characters stand in its texts alone.
#[must_use]
pub fn clean_lines(text: &str) -> Cow<'_, str> {
    without(text, |symbol| symbol != '\n' && steers(symbol))
}

fn steers(symbol: char) -> bool {
    // C1, too (U+0080 to U+009F): U+009B alone begins a sequence of a terminal's.
    symbol.is_control()
        || matches!(
            symbol,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn without(text: &str, unwanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&unwanted) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for symbol in text.chars() {
        if unwanted(symbol) {
            // Writing to a text cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(symbol));
        } else {
            shown.push(symbol);
        }
    }
    Cow::Owned(shown)
}

/// JSON laid out for reading. Only white space and the writing of texts change, for PHP escapes every Cyrillic letter;
/// numbers, doubled keys and texts that nobody can hold stay as they were sent.
#[must_use]
pub fn laid_out(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut rest = json.trim();
    let new_line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(symbol) = rest.chars().next() {
        let mut taken = symbol.len_utf8();
        match symbol {
            '"' => {
                taken = length_of_text(rest);
                let sent = &rest[..taken];
                let read = serde_json::from_str::<String>(sent);
                let written = read.and_then(|read| serde_json::to_string(&read));
                text.push_str(&clean(written.as_deref().unwrap_or(sent)));
            }
            '{' | '[' => {
                text.push(symbol);
                let inside = rest[taken..].trim_start();
                if inside.starts_with(['}', ']']) {
                    text.push_str(&inside[..1]);
                    taken = rest.len() - inside.len() + 1;
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(symbol);
            }
            ',' => {
                text.push(',');
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            symbol if symbol.is_ascii_whitespace() => {}
            symbol => text.push(symbol),
        }
        rest = &rest[taken..];
    }
    text
}

/// How long the text is that `rest` begins with, in bytes, with its quotes.
fn length_of_text(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_with_every_symbol_as_it_was_sent() {
        let sent =
            r#"{"a" : 1.50,"text":"a \"b\", {c}: [\\]","list":[ ],"o":{},"n":[1e400,{"x":null}]}"#;
        let laid_out = laid_out(sent);
        assert_eq!(
            laid_out,
            "{\n  \"a\": 1.50,\n  \"text\": \"a \\\"b\\\", {c}: [\\\\]\",\n  \"list\": [],\n  \"o\": {},\n  \"n\": [\n    1e400,\n    {\n      \"x\": null\n    }\n  ]\n}"
        );
        assert_eq!(super::laid_out(&laid_out), laid_out);
    }

    #[test]
    fn texts_are_readable_and_steer_no_terminal() {
        for (sent, shown) in [
            (r#""\u0416\u0443\u043a""#, r#""Жук""#),
            (r#""\ud83d\ude00""#, r#""😀""#),
            // Half a pair is no text that anybody could hold.
            (r#""\ud83d""#, r#""\ud83d""#),
            (r#""\u001b[2J\u202e""#, r#""\u001b[2J\u202e""#),
            ("\"\u{9b}2J\"", r#""\u009b2J""#),
            (r#""a\\""#, r#""a\\""#),
            (r#"{"a\"}":1}"#, "{\n  \"a\\\"}\": 1\n}"),
            ("\"never ends", "\"never ends"),
        ] {
            assert_eq!(laid_out(sent), shown);
        }
        assert_eq!(clean("site-1\n\u{1b}[31mred"), r"site-1\u000a\u001b[31mred");
        assert_eq!(
            clean_lines("Жук\n\r\u{7f}\u{9b}2J\u{202e}\u{61c}\n"),
            "Жук\n\\u000d\\u007f\\u009b2J\\u202e\\u061c\n"
        );
    }
}
