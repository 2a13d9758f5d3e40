use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::file::{At, Section};

/// Of a token that `aqua-orders new-token` made. Such a token cannot be guessed, so a plain SHA-256 keeps it as well as a slow
/// hash keeps a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

/// What stands before the hash's digits.
const PREFIX: &str = "sha256:";
const HOW: &str = "write what `aqua-orders new-token` prints";

impl TokenHash {
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// As it is written in the settings.
    #[must_use]
    pub fn text(self) -> String {
        PREFIX.to_owned() + &Self::digits(&self.0)
    }

    /// Bytes as hexadecimal digits.
    #[must_use]
    pub fn digits(bytes: &[u8]) -> String {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect()
    }

    /// A publication's `import_token_hashes`. `others` are those of the publications before it.
    pub(super) fn read_all(publication: &mut Section<'_>, others: &mut HashSet<Self>) -> Vec<Self> {
        let mut hashes = Vec::new();
        for At { at, value } in publication.texts("import_token_hashes") {
            match Self::parse(value) {
                Some(hash) if others.insert(hash) => hashes.push(hash),
                Some(_) => publication.problems.add(
                    at,
                    "`import_token_hashes`: this token stands twice, and it opens one publication: make another",
                ),
                // What stands there may be the token itself.
                None => publication.problems.add(
                    at,
                    format!("`import_token_hashes`: this is no hash of a token; {HOW}"),
                ),
            }
        }
        hashes
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::read;

    fn hashes(list: &str) -> Result<Vec<TokenHash>, String> {
        let text = format!("import_token_hashes = [{list}]");
        read("aqua.toml".as_ref(), &text, |mut root| {
            TokenHash::read_all(&mut root, &mut HashSet::new())
        })
    }

    #[test]
    fn a_token_is_only_taken_as_a_hash_and_two_may_overlap() {
        let [old, new] = ["old", "new"].map(TokenHash::of);
        let shouted = new.text().to_uppercase().replace("SHA", "sha");
        let list = format!("{:?}, {shouted:?}", old.text());
        assert_eq!(hashes(&list), Ok(vec![old, new]));
        let twice = format!("{:?}, {:?}", old.text(), old.text());
        assert!(hashes(&twice).is_err_and(|report| report.contains("twice")));
        for wrong in ["s-42", "sha256:s-42", "sha256:", &old.text()[1..]] {
            let report = hashes(&format!("{wrong:?}")).expect_err("a fault");
            assert!(report.contains("new-token"), "{report}");
            assert!(!report.contains("s-42"), "{report}");
        }
    }
}
