//! Phones: many spellings in, one form stored, the document's form out (contract §3, §6).
//!
//! Stored is E.164, so that a guest is the same guest in whatever spelling the phone comes (contract §4).

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

/// Reads a phone in any spelling of contract §3 and gives its E.164 form (`+79191991919`), or `None` where it is none.
///
/// Spaces, dashes and brackets are dropped wherever they stand; anything else but digits and a leading `+` makes it no
/// phone: guessing at `доб. 12` would call a stranger.
#[must_use]
pub fn parse(text: &str, region: Region) -> Option<String> {
    let mut e164 = String::with_capacity("+79191991919".len());
    for c in text.chars() {
        match c {
            '+' if e164.is_empty() => e164.push('+'),
            // Past 15 digits nothing can become a phone: no need to copy a megabyte to find that out.
            '0'..='9' if e164.len() <= 15 => e164.push(c),
            _ if is_filling(c) => {}
            _ => return None,
        }
    }

    if let Some(digits) = e164.strip_prefix('+') {
        return (8..=15).contains(&digits.len()).then_some(e164);
    }
    match (region, e164.len(), e164.as_bytes().first()) {
        (Region::Ru | Region::Kz, 10, _) => Some(format!("+7{e164}")),
        (Region::Ru | Region::Kz, 11, Some(b'7' | b'8')) => Some(format!("+7{}", &e164[1..])),
        _ => None,
    }
}

/// A stored phone as the document answers it (contract §6): ten national digits where it is Russian, else E.164.
///
/// A publication whose region is [`Region::International`] gets E.164 for Russian phones too: it would not take ten
/// bare digits back, and what we answer comes in again (contract §3).
#[must_use]
pub fn answered(e164: &str, region: Region) -> &str {
    match e164.strip_prefix("+7") {
        // +76 and +77 are Kazakhstan's.
        Some(national)
            if region != Region::International
                && national.len() == 10
                && !national.starts_with(['6', '7']) =>
        {
            national
        }
        _ => e164,
    }
}

/// What people and address books put between the digits: spaces of every width, dashes, brackets, and the invisible
/// direction marks that come along when a phone is copied from a contact card.
fn is_filling(c: char) -> bool {
    let bracket = matches!(c, '(' | ')' | '[' | ']' | '{' | '}');
    let dash = matches!(
        c,
        '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}'
    ) || matches!(c, '\u{fe58}' | '\u{fe63}' | '\u{ff0d}');
    let invisible = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    c.is_whitespace() || bracket || dash || invisible
}

#[cfg(test)]
mod tests {
    use super::{Region, answered, parse};

    #[test]
    fn every_spelling_of_the_contract_is_one_phone() {
        for text in [
            "+79191991919",
            "89191991919",
            "79191991919",
            "9191991919",
            " 8 (919) 199-19-19 ",
            "+7 [919] 199 19 19",
            "8\u{a0}919\u{202f}199–19—19",
            "8‐919‑199‒19−19",
            "\u{202a}+7 919 199-19-19\u{202c}",
            "\t9191991919\r\n",
        ] {
            for region in [Region::Ru, Region::Kz] {
                assert_eq!(
                    parse(text, region).as_deref(),
                    Some("+79191991919"),
                    "{text:?} in {region:?}"
                );
            }
        }
    }

    #[test]
    fn eight_to_fifteen_digits_after_a_plus_are_a_phone_anywhere() {
        for (text, e164) in [
            ("+12345678", Some("+12345678")),
            ("+123456789012345", Some("+123456789012345")),
            ("+1234567", None),
            ("+1234567890123456", None),
            ("+44 (20) 7946-0958", Some("+442079460958")),
            ("+79191991919", Some("+79191991919")),
        ] {
            for region in [Region::Ru, Region::Kz, Region::International] {
                assert_eq!(
                    parse(text, region).as_deref(),
                    e164,
                    "{text:?} in {region:?}"
                );
            }
        }
    }

    #[test]
    fn ten_digits_are_national_whatever_they_start_with() {
        for first in '0'..='9' {
            let digits = format!("{first}123456789");
            assert_eq!(parse(&digits, Region::Ru), Some(format!("+7{digits}")));
        }
    }

    #[test]
    fn an_international_publication_takes_no_national_spelling() {
        for text in ["89191991919", "79191991919", "9191991919"] {
            assert_eq!(parse(text, Region::International), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_phone_is_refused() {
        for text in [
            "",
            " ",
            "+",
            "()",
            "919199191",
            "99191991919",
            "891919919190",
            "0079191991919",
            "8919199191x",
            "9191991919 доб. 12",
            "9+191991919",
            "++79191991919",
            "+7919199191+9",
            "9191991919, 9191991918",
            "٩١٩١٩٩١٩١٩",
            "9191991919\0",
            "нет телефона",
        ] {
            assert_eq!(parse(text, Region::Ru), None, "{text:?}");
        }
        assert_eq!(parse(&"9".repeat(1_000_000), Region::Ru), None);
    }

    #[test]
    fn a_russian_phone_is_answered_as_ten_digits_and_any_other_in_e164() {
        for (e164, out) in [
            ("+79083280832", "9083280832"),
            ("+78005553535", "8005553535"),
            ("+74951234567", "4951234567"),
            ("+77011234567", "+77011234567"),
            ("+76001234567", "+76001234567"),
            ("+442079460958", "+442079460958"),
            ("+7919199191", "+7919199191"),
            ("+791919919190", "+791919919190"),
        ] {
            assert_eq!(answered(e164, Region::Ru), out);
            assert_eq!(answered(e164, Region::Kz), out);
            assert_eq!(answered(e164, Region::International), e164);
        }
    }

    #[test]
    fn what_we_answer_comes_in_again() {
        for region in [Region::Ru, Region::Kz, Region::International] {
            for e164 in [
                "+79083280832",
                "+78005553535",
                "+77011234567",
                "+76001234567",
                "+12345678",
                "+7919199191",
            ] {
                assert_eq!(parse(e164, region).as_deref(), Some(e164));
                assert_eq!(
                    parse(answered(e164, region), region).as_deref(),
                    Some(e164),
                    "{e164} in {region:?}"
                );
            }
        }
    }

    #[test]
    fn a_region_is_read_from_the_settings_in_any_case() {
        assert_eq!("ru".parse(), Ok(Region::Ru));
        assert_eq!("KZ".parse(), Ok(Region::Kz));
        assert_eq!("International".parse(), Ok(Region::International));
        assert!("BY".parse::<Region>().is_err());
    }
}
