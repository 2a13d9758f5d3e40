//! Phones: many spellings in, one form stored, the document's form out (contract §3, §6).

use std::str::FromStr;

/// Where a phone without a country code lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Region {
    /// Russia: ten national digits, or eleven that start with 7 or 8.
    #[default]
    Ru,
    /// Kazakhstan, which shares +7 and its spellings with Russia.
    Kz,
    /// No national spelling is taken: only `+` with 8 to 15 digits.
    International,
}

impl FromStr for Region {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.to_ascii_uppercase().as_str() {
            "RU" => Ok(Self::Ru),
            "KZ" => Ok(Self::Kz),
            "INTERNATIONAL" => Ok(Self::International),
            _ => Err("write \"RU\", \"KZ\" or \"international\""),
        }
    }
}
