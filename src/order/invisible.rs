//! Characters that nobody sees, and that come along when a text is copied.

/// Whether nothing is to be seen of it: zero-width characters, direction marks, soft hyphens, variation selectors.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}')
}

/// What stands around a value without being part of it: blanks of every width and what cannot be seen.
#[must_use]
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}
