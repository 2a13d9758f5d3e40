//! Faults and warnings: a path, a code that never changes, and a text in the caller's language (contract §2).

/// The language of messages: Russian unless the caller asks for English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// The default.
    #[default]
    Ru,
    /// `Accept-Language: en`.
    En,
}
