//! What is said about a file: in English on the command line, in the caller's language over HTTP.

use std::fmt;

use crate::order::fault::Language;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    ru: String,
    en: String,
}

impl Text {
    #[must_use]
    pub fn new(ru: impl Into<String>, en: impl Into<String>) -> Self {
        let (ru, en) = (ru.into(), en.into());
        Self { ru, en }
    }

    #[must_use]
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::Ru => &self.ru,
            Language::En => &self.en,
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}
