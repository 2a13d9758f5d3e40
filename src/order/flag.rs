//! Yes and no, in the words of people, PHP and 1C (contract §3).

/// Reads a word, in any case.
#[must_use]
pub fn parse(word: &str) -> Option<bool> {
    // No word is longer.
    if word.len() > "истина".len() {
        return None;
    }
    match word.to_lowercase().as_str() {
        "true" | "1" | "yes" | "да" | "истина" => Some(true),
        "false" | "0" | "no" | "нет" | "ложь" => Some(false),
        _ => None,
    }
}
