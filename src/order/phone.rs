//! Phones: many spellings in, one form stored, the document's form out (contract §3, §6).
//!
//! Stored is E.164, so that a guest is the same guest in whatever spelling the phone comes (contract §4).

use std::str::FromStr;

use super::invisible::is_invisible;

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

/// A phone as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// `+79191991919`
    pub e164: String,
    /// Something else stood in the text, words, an extension or a second number, and was left out.
    pub has_more: bool,
}

/// No phone has more digits.
const MOST_DIGITS: usize = 15;
/// Nor are more dialled: `810` comes before a phone abroad.
const MOST_DIALLED: usize = MOST_DIGITS + 3;

/// What is written in front of a phone and says no more than that it is one.
const LABELS: [&str; 5] = ["тел", "телефон", "т", "tel", "phone"];

/// Reads a phone in any spelling of contract §3, or `None` where it is none.
///
/// Spaces, dashes, dots, brackets and quotes are dropped wherever they stand, and so are words in front. Of a text that goes on
/// behind a whole number the number counts: the longest that ends where its text could end.
#[must_use]
pub fn parse(text: &str, region: Region) -> Option<Phone> {
    let start = text.find(|c: char| c == '+' || c.is_ascii_digit())?;
    let (front, text) = text.split_at_checked(start)?;
    let mut sent = String::with_capacity("+79191991919".len());
    // The number as far as the last gap before which it was whole.
    let mut whole_before: Option<String> = None;
    let mut is_in_gap = false;
    for (at, c) in text.char_indices() {
        let is_digit = c.is_ascii_digit();
        // The second number, or an extension, may stand behind nothing but a gap.
        if is_digit && is_in_gap {
            let number = e164(&sent, region);
            // Behind +7 and ten digits no number goes on, however many digits a plus allows.
            if number.as_deref().is_some_and(is_russian) && sent.len() > "89191991919".len() {
                return Phone::of(number?, true);
            }
            whole_before = number.or(whole_before);
        }
        match c {
            '+' if sent.is_empty() => sent.push('+'),
            _ if is_digit && sent.len() <= MOST_DIALLED => sent.push(c),
            _ if is_filling(c) => {
                is_in_gap = true;
                continue;
            }
            _ => {
                // A digit too many, or what is no part of any number. Where the last digit of a Russian number may be a slip,
                // what is left of it would be somebody else's.
                let lacks_one = sent.len() == 10 && sent.starts_with(['7', '8'])
                    || sent.len() == 11 && sent.starts_with("+7");
                let is_slip = || {
                    let has_extension = text[at..].contains(|c: char| c.is_ascii_digit());
                    !is_in_gap && c.is_alphanumeric() && lacks_one && !has_extension
                };
                let is_cut_off = is_digit || is_slip();
                let number = if is_cut_off {
                    None
                } else {
                    e164(&sent, region)
                };
                return Phone::of(number.or(whole_before)?, true);
            }
        }
        is_in_gap = false;
    }
    match e164(&sent, region) {
        Some(number) => Phone::of(number, !is_label(front)),
        None => Phone::of(whole_before?, true),
    }
}

/// Whether nothing is said in front of a phone but that it is one.
fn is_label(front: &str) -> bool {
    let word = front.trim_matches(|c: char| is_filling(c) || c == ':');
    let is_short = word.len() <= "телефон".len();
    word.is_empty() || is_short && LABELS.contains(&&*word.to_lowercase())
}

/// `+7` and ten digits.
fn is_russian(e164: &str) -> bool {
    e164.len() == 12 && e164.starts_with("+7")
}

impl Phone {
    /// `None` where the last ten digits are equal, or all are zeros: people type that where a form insists on a phone.
    fn of(e164: String, has_more: bool) -> Option<Self> {
        let digits = e164.trim_start_matches('+').as_bytes();
        let last = digits.get(digits.len().saturating_sub(10)..)?;
        let is_one_digit = last.iter().all(|digit| Some(digit) == last.first());
        let is_placeholder = is_one_digit && (last.len() == 10 || last.first() == Some(&b'0'));
        (!is_placeholder).then_some(Self { e164, has_more })
    }
}

/// The E.164 form of a number of which nothing is left but its digits and a plus; `None` where it is no whole number.
fn e164(sent: &str, region: Region) -> Option<String> {
    let is_national = region != Region::International;
    match (sent.len(), sent.as_bytes().first()?) {
        (10, b'0'..=b'9') if is_national => return Some(["+7", sent].concat()),
        (11, b'7' | b'8') if is_national => return Some(["+7", &sent[1..]].concat()),
        _ => {}
    }
    let digits = sent
        .strip_prefix('+')
        .or_else(|| dialled_abroad(sent, is_national))?;
    if !(8..=MOST_DIGITS).contains(&digits.len()) {
        return None;
    }
    // Behind +7 some write the 8 that is dialled inside the country, too.
    let twice = digits.strip_prefix("78").filter(|rest| rest.len() == 10);
    Some(match twice {
        Some(national) => ["+7", national].concat(),
        None => ["+", digits].concat(),
    })
}

/// What stands behind the digits that are dialled for a plus: `00`, from Russia and Kazakhstan `810`.
fn dialled_abroad(sent: &str, is_national: bool) -> Option<&str> {
    let from_here = || sent.strip_prefix("810").filter(|_| is_national);
    let digits = sent.strip_prefix("00").or_else(from_here)?;
    // No country's code begins with zero.
    (!digits.starts_with('0')).then_some(digits)
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

/// What people, address books and spreadsheets put around and between the digits: spaces of every width, dashes, dots, brackets,
/// quotes, a wave where one waits for a tone, and the invisible marks that come along when a phone is copied from a contact card
/// or typed with emoji digits.
fn is_filling(c: char) -> bool {
    let dot = matches!(c, '.' | '\u{b7}' | '\u{2022}');
    let bracket = matches!(c, '(' | ')' | '[' | ']' | '{' | '}');
    let dash = matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}')
        || matches!(c, '\u{fe58}' | '\u{fe63}' | '\u{ff0d}');
    let quote = matches!(c, '\'' | '"' | '`' | '\u{2018}'..='\u{201f}' | '«' | '»');
    c.is_whitespace() || dot || bracket || dash || quote || c == '~' || is_invisible(c)
}

#[cfg(test)]
mod tests {
    use super::{Phone, Region, answered};

    /// A phone beside which nothing stands.
    fn parse(text: &str, region: Region) -> Option<String> {
        super::parse(text, region)
            .filter(|phone| !phone.has_more)
            .map(|phone| phone.e164)
    }

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
            "8.919.199.19.19",
            "tel:+79191991919",
            " TEL: 8 919 199-19-19",
            "8\u{fe0f}919\u{200b}1991919",
            "0079191991919",
            "00 7 (919) 199-19-19",
            "+7 8 (919) 199-19-19",
            "+789191991919",
            "8~10 7 919 199-19-19",
            "тел. 89191991919",
            "Тел:+7 919 199-19-19",
            "ТЕЛЕФОН 9191991919",
            "т. 8 (919) 199-19-19",
            "phone: 9191991919",
            "'89191991919",
            "\"9191991919\"",
            "«8 919 199-19-19»",
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
    fn what_is_dialled_for_a_plus_is_one() {
        for (text, due) in [
            ("8 10 375 29 123-45-67", "+375291234567"),
            ("8~10375291234567", "+375291234567"),
            ("810375291234567", "+375291234567"),
            ("00375 29 123-45-67", "+375291234567"),
            ("810 44 20 7946 0958", "+442079460958"),
            ("00442079460958", "+442079460958"),
            ("00123456789012345", "+123456789012345"),
            ("810123456789012345", "+123456789012345"),
        ] {
            for region in [Region::Ru, Region::Kz, Region::International] {
                let is_read = region != Region::International || text.starts_with('0');
                let due = is_read.then_some(due);
                assert_eq!(parse(text, region).as_deref(), due, "{text} in {region:?}");
            }
        }
        // Ten digits, or eleven behind an 8, are national first.
        for text in ["81012345678", "0012345678"] {
            let phone = parse(text, Region::Ru).expect(text);
            assert!(phone.starts_with("+7") && phone.len() == 12, "{phone}");
        }
        for text in [
            "001234567",
            "000079191991919",
            "8100375291234567",
            "0012345678901234567",
        ] {
            assert_eq!(super::parse(text, Region::Ru), None, "{text}");
        }
    }

    #[test]
    fn eight_equal_digits_are_a_phone_and_ten_are_none() {
        for text in ["+11111111", "+999999999", "+00000001"] {
            assert_eq!(parse(text, Region::Ru).as_deref(), Some(text));
        }
        for text in [
            "+00000000",
            "+0000000000000",
            "+1111111111",
            "00999999999999",
        ] {
            assert_eq!(super::parse(text, Region::Ru), None, "{text}");
        }
    }

    #[test]
    fn ten_digits_are_national_whatever_they_start_with() {
        for first in '0'..='9' {
            let digits = format!("{first}123456780");
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
            "8919199191x",
            "7919199191доб",
            "+7919199191x",
            "9+191991919",
            "++79191991919",
            "٩١٩١٩٩١٩١٩",
            "нет телефона",
            "тел. 12",
            "тел. ++79191991919",
            "12 доб. 9191991919",
            "9999999999",
            "+7 000 000-00-00",
            "80000000000",
            "+1111111111",
            "+1 (000) 000-0000",
            "0000000000, 9191991919",
        ] {
            assert_eq!(super::parse(text, Region::Ru), None, "{text:?}");
        }
        assert_eq!(super::parse(&"9".repeat(1_000_000), Region::Ru), None);
        assert_eq!(
            super::parse("9191991919 доб. 12", Region::International),
            None
        );
    }

    #[test]
    fn of_a_text_that_says_more_than_a_number_the_first_whole_number_counts() {
        for text in [
            "Иван 89191991919",
            "Иван: +7 (919) 199-19-19",
            "моб. 89191991919",
            "тел. Анны 9191991919",
            "тел. 9191991919 доб. 12",
            "+7 8 919 199-19-19 12",
            "007 919 199-19-19 12",
            "8 10 7 919 199-19-19 12",
            "9191991919 доб. 12",
            "+7 (919) 199-19-19 доб. 12",
            "89191991919доб.12",
            "89191991919x12",
            "9191991919доб5",
            "9191991919, 9191991918",
            "89191991919 89191991918",
            "8 919 199 19 19 8 919 199 19 18",
            "+79191991919 +79191991918",
            "8(919)1991919 / 8(919)1991918",
            "tel:+79191991919;ext=12",
            "8 919 199-19-19 12",
            "+7 919 199-19-19 12",
            "+7 919 199-19-19 12 доб",
            "+7 (919) 199-19-19 (12)",
            "89191991919 (Анна)",
            "9191991919\0",
        ] {
            let phone = super::parse(text, Region::Ru).unwrap_or_else(|| panic!("{text:?}"));
            let due = Phone {
                e164: "+79191991919".into(),
                has_more: true,
            };
            assert_eq!(phone, due, "{text:?}");
        }
        // Ten digits that begin with 8 are whole, too.
        let glued = super::parse("8652990087доб5", Region::Ru).expect("a phone");
        assert!(glued.has_more && glued.e164 == "+78652990087", "{glued:?}");
        let many = "+44 20 7946 0958 44 20 7946 0959";
        let phone = super::parse(many, Region::International).expect("a phone");
        assert!(
            phone.has_more && phone.e164.starts_with("+442079460958"),
            "{phone:?}"
        );
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
