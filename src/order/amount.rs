//! Numbers, exact from end to end: never through a binary float (contract §3).

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::invisible::is_blank;

/// Why a text is not the number that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// It is no number at all, or no whole one where a whole one is needed.
    NotANumber,
    /// It is one, but too large, too small or too finely divided.
    OutOfRange,
}

/// Exponents are clamped to this; anything near it is out of range.
const FAR: i64 = 1_000_000_000;

/// A decimal as written: `±whole.fraction × 10^exponent`.
struct Exact<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

/// Splits `-12.50e3`. Takes what JSON takes, and besides what a numeric string of PHP's may have: a plus, zeros in front, no
/// digit on one side of the point.
fn split(text: &str) -> Option<Exact<'_>> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        None => (rest, 0),
        Some(at) => {
            let exponent = &rest[at + 1..];
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            // An exponent that does not even fit is out of any range; its sign alone matters then.
            let far = digits.parse().unwrap_or(FAR).min(FAR);
            (
                &rest[..at],
                if exponent.starts_with('-') { -far } else { far },
            )
        }
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exact = Exact {
        negative,
        whole,
        fraction,
        exponent,
    };
    let has_digits = exact.digits().next().is_some();
    (has_digits && exact.digits().all(|b| b.is_ascii_digit())).then_some(exact)
}

impl Exact<'_> {
    /// The mantissa's digits.
    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// How many of them there are, and how many stand before the point once it is moved by exponent and scale.
    fn lengths(&self, scale: u32) -> (i64, i64) {
        // No text has so many that they do not fit.
        let count = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX / 4);
        let whole = count(self.whole);
        (
            whole + count(self.fraction),
            whole + self.exponent + i64::from(scale),
        )
    }

    /// Whether `value × 10^scale` is an integer.
    fn is_whole(&self, scale: u32) -> bool {
        let (_, keep) = self.lengths(scale);
        let behind = usize::try_from(keep.max(0)).unwrap_or(usize::MAX);
        self.digits().skip(behind).all(|b| b == b'0')
    }

    /// `value × 10^scale`, when that is an integer that an `i64` holds.
    fn scaled(&self, scale: u32) -> Option<i64> {
        if self.digits().all(|b| b == b'0') {
            return Some(0);
        }
        if !self.is_whole(scale) {
            return None;
        }
        let (length, keep) = self.lengths(scale);
        self.counted(
            self.digits().take(usize::try_from(keep.max(0)).ok()?),
            keep - length,
        )
    }

    /// These digits and so many zeros behind them as a number with our sign, where an `i64` holds it.
    fn counted(&self, digits: impl Iterator<Item = u8>, zeros: i64) -> Option<i64> {
        // Counted away from zero, so that the least i64, which has no opposite, comes through too.
        let away = |value: i64, digit: i64| {
            let digit = if self.negative { -digit } else { digit };
            value.checked_mul(10)?.checked_add(digit)
        };
        let mut value: i64 = 0;
        for b in digits {
            value = away(value, i64::from(b - b'0'))?;
        }
        for _ in 0..zeros {
            value = away(value, 0)?;
        }
        Some(value)
    }

    /// `value × 10^scale`, rounded half away from zero. `None` where no `i64` holds it.
    fn rounded(&self, scale: u32) -> Option<Rounded> {
        if let Some(value) = self.scaled(scale) {
            return Some(Rounded {
                value,
                is_loss: false,
            });
        }
        let (length, keep) = self.lengths(scale);
        if self.is_whole(scale) {
            return None;
        }
        let kept = usize::try_from(keep.max(0)).ok()?;
        let value = self.counted(self.digits().take(kept), keep - length)?;
        let cut = self.cut(scale);
        let step = match (cut.is_up, self.negative) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => -1,
        };
        Some(Rounded {
            value: value.checked_add(step)?,
            is_loss: !cut.is_noise,
        })
    }

    /// What rounding cuts off a number that is not whole at that scale.
    fn cut(&self, scale: u32) -> Cut {
        let (_, keep) = self.lengths(scale);
        let kept = usize::try_from(keep.max(0)).unwrap_or(usize::MAX);
        // It begins with these, and something other than zero is in it.
        let zeros = usize::try_from(-keep.min(0)).map_or(NOISE, |zeros| zeros.min(NOISE));
        let mut cut = std::iter::repeat_n(b'0', zeros).chain(self.digits().skip(kept));
        let mut first = [b'0'; NOISE];
        let first = &mut first[usize::try_from(scale).unwrap_or_default()..];
        for digit in &mut *first {
            *digit = cut.next().unwrap_or(b'0');
        }
        let is_noise = first.iter().all(|digit| *digit == b'0')
            || first.iter().all(|digit| *digit == b'9') && cut.any(|digit| digit != b'0');
        Cut {
            is_up: first[0] >= b'5',
            is_noise,
        }
    }
}

/// What is less than one at this decimal is a binary float's noise: less than 0.000001.
const NOISE: usize = 6;

struct Rounded {
    value: i64,
    /// Whether more was rounded off than a binary float's noise.
    is_loss: bool,
}

struct Cut {
    is_up: bool,
    is_noise: bool,
}

/// The digits of a JSON number that is whole: `68` for `68`, `68.0` and `6.8e1`. `None` if it is not whole, or has more digits
/// than `most`.
#[must_use]
pub fn whole_digits(text: &str, most: usize) -> Option<Cow<'_, str>> {
    let is_plain = !text.starts_with(['0', '+']) && !text.starts_with("-0");
    if is_plain && text.len() <= most && text.bytes().skip(1).all(|b| b.is_ascii_digit()) {
        return Some(Cow::Borrowed(text));
    }
    let exact = split(text)?;
    if !exact.is_whole(0) {
        return None;
    }
    let (length, keep) = exact.lengths(0);
    let kept = usize::try_from(keep.max(0)).ok()?;
    let zeros = usize::try_from((keep - length).max(0)).ok()?;
    let leading = exact.digits().take_while(|digit| *digit == b'0').count();
    if leading >= kept.min(usize::try_from(length).ok()?) {
        return Some(Cow::Borrowed("0"));
    }
    if kept - leading > most {
        return None;
    }
    let digits = exact.digits().take(kept).skip(leading).map(char::from);
    let sign = exact.negative.then_some('-');
    Some(
        sign.into_iter()
            .chain(digits)
            .chain(std::iter::repeat_n('0', zeros))
            .collect::<String>()
            .into(),
    )
}

/// Whether it is a whole number, however large.
#[must_use]
pub fn is_whole(text: &str) -> bool {
    split(text).is_some_and(|exact| exact.is_whole(0))
}

/// An amount as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Two decimals at most.
    pub value: Decimal,
    /// More decimals came than are kept, and they were no noise of a binary float.
    pub is_rounded: bool,
}

/// Reads an amount in roubles, from 0 to below `10^whole_digits`; also as people and PHP write it ([`written_plainly`]), and with
/// a currency behind it. More than two decimals are rounded half away from zero (contract §3).
///
/// # Errors
/// [`Invalid::NotANumber`] or [`Invalid::OutOfRange`].
pub fn parse(text: &str, whole_digits: u32) -> Result<Amount, Invalid> {
    let plain = written_plainly(text)
        .or_else(|| written_plainly(without_currency(text)?))
        .ok_or(Invalid::NotANumber)?;
    let Rounded { value, is_loss } = split(&plain)
        .ok_or(Invalid::NotANumber)?
        .rounded(2)
        .ok_or(Invalid::OutOfRange)?;
    if value < 0 || value >= 10_i64.pow(whole_digits + 2) {
        return Err(Invalid::OutOfRange);
    }
    Ok(Amount {
        value: Decimal::new(value, 2).normalize(),
        is_rounded: is_loss,
    })
}

/// What people and 1C write behind an amount.
const CURRENCY: [&str; 6] = ["руб", "руб.", "р", "р.", "₽", "rub"];

/// `710` of `710 руб.`
fn without_currency(text: &str) -> Option<&str> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let (number, word) = text.split_at_checked(end)?;
    let word = word.trim_matches(is_blank).to_lowercase();
    CURRENCY.contains(&&*word).then_some(number)
}

/// A number as JSON may write it: `1234.56` for `1 234,56` and `1,234.56`.
///
/// A point is the decimal point; without one a comma is, if it is the only one. Before it there may be blanks or apostrophes
/// between groups of three digits, or the other of the two: `7 10` is no number. Where both come, the last is the decimal one.
fn written_plainly(text: &str) -> Option<Cow<'_, str>> {
    if is_plain(text) {
        return Some(Cow::Borrowed(text));
    }
    let text = text.trim_matches(is_blank);
    let is_single = |mark: char| text.matches(mark).count() == 1;
    let point = match (text.rfind('.'), text.rfind(',')) {
        (Some(point), Some(comma)) if comma > point => is_single(',').then_some(','),
        (Some(_), comma) => (is_single('.') || comma.is_some()).then_some('.'),
        (None, _) => is_single(',').then_some(','),
    };
    let (whole, fraction) = point
        .and_then(|point| text.split_once(point))
        .unwrap_or((text, ""));
    let (sign, whole) = whole.split_at(whole.starts_with(['-', '+']).into());
    // One mark stands between all groups.
    let between = whole.chars().find(|c| !c.is_ascii_digit());
    let is_between = |c: char| match between {
        Some('.' | ',') => between == Some(c),
        Some('\'' | '\u{2019}') => matches!(c, '\'' | '\u{2019}'),
        _ => c.is_whitespace(),
    };
    let mut plain = String::with_capacity(text.len());
    plain.push_str(sign);
    for (place, group) in whole.split(is_between).enumerate() {
        let is_group = match place {
            // Only a first group may be longer, where no other follows.
            0 => group.len() == whole.len() || (1..=3).contains(&group.len()),
            _ => group.len() == 3,
        };
        if !is_group || !group.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        plain.push_str(group);
    }
    if point.is_some() {
        plain.push('.');
        plain.push_str(fraction);
    }
    is_plain(fraction).then_some(Cow::Owned(plain))
}

/// Written with nothing but what a JSON number may have, and one point at most.
fn is_plain(text: &str) -> bool {
    let mut points = 0;
    text.bytes().all(|b| {
        points += u8::from(b == b'.');
        points < 2 && (b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
    })
}

/// Reads a whole number, in any spelling of an amount; `2.0` and `"2,000"` are whole, as PHP and 1C print them, and so is what is
/// off by no more than a binary float's noise.
///
/// # Errors
/// [`Invalid::NotANumber`] for a broken one, [`Invalid::OutOfRange`] for one outside `min..=max`.
pub fn parse_whole(text: &str, min: i64, max: i64) -> Result<i64, Invalid> {
    let plain = written_plainly(text).ok_or(Invalid::NotANumber)?;
    let exact = split(&plain).ok_or(Invalid::NotANumber)?;
    match exact.rounded(0) {
        Some(Rounded { is_loss: true, .. }) => Err(Invalid::NotANumber),
        Some(Rounded { value, .. }) if (min..=max).contains(&value) => Ok(value),
        None if !exact.is_whole(0) && !exact.cut(0).is_noise => Err(Invalid::NotANumber),
        Some(_) | None => Err(Invalid::OutOfRange),
    }
}

/// An amount as a JSON number with every digit and no needless zero: `710`, `0.1` (contract §3).
pub struct Number(pub Decimal);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0.normalize();
        if value.scale() == 0
            && let Ok(whole) = i64::try_from(value.mantissa())
        {
            return serializer.serialize_i64(whole);
        }
        // A raw JSON number, for serde's own number types are binary.
        let raw = RawValue::from_string(value.to_string()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_decimals_end_to_end() {
        for (sent, left) in [
            ("0.1", "0.1"),
            ("710", "710"),
            ("710.00", "710"),
            ("355.50", "355.5"),
            ("0", "0"),
            ("-0", "0"),
            ("1e2", "100"),
            ("7.1E+2", "710"),
            ("1250e-2", "12.5"),
            ("007.10", "7.1"),
            ("0e999999999999999999999", "0"),
            ("9999999999.99", "9999999999.99"),
            ("0.0100000000000000000000000000", "0.01"),
        ] {
            let amount = parse(sent, 10).unwrap_or_else(|e| panic!("{sent}: {e:?}"));
            assert!(!amount.is_rounded, "{sent}");
            assert_eq!(
                serde_json::to_string(&Number(amount.value)).expect("a number"),
                left,
                "{sent}"
            );
        }
    }

    #[test]
    fn what_is_no_amount_is_told_apart_from_what_is_out_of_range() {
        for text in [
            "",
            "-",
            "abc",
            ".",
            ",",
            "-.",
            "1e",
            "1e+",
            "0x10",
            "NaN",
            "Infinity",
            "--1",
            "1.2.3",
            "1,2,3",
            "1.23,45",
            "1,234.567,8",
            "1 234.567,8",
            "1'23",
            "1'234 567",
            "е1",
            "1e+-2",
            "1e-+2",
            " ",
            "7 10",
            "1234 567",
            "1 23",
            " 1  000",
            "1 000 00",
            "- 5",
            "1 -000",
            ",234.5",
            "1234,567.8",
            "1,23.4",
            "1,234 567",
            "1 234,567.8",
            "1,234,56",
            "1,,234.5",
            "1,234,5",
            "7.1.0 руб",
            "руб",
            "710 долл.",
            "7 10 руб.",
            "710 руб. 50 коп.",
        ] {
            assert_eq!(parse(text, 10), Err(Invalid::NotANumber), "{text}");
        }
        for text in [
            "10000000000",
            "9999999999.995",
            "-0.01",
            "-0.005",
            "-1",
            "1e400",
            "9 999 999 999,995",
            "-1 000",
            "1e99999999999999999999",
        ] {
            assert_eq!(parse(text, 10), Err(Invalid::OutOfRange), "{text}");
        }
    }

    #[test]
    fn people_write_amounts_with_a_comma_and_with_blanks_between_groups() {
        for (sent, left) in [
            ("710,00", "710"),
            ("1 234,56", "1234.56"),
            ("1\u{a0}234\u{202f}567.5", "1234567.5"),
            (" 710 ", "710"),
            ("+12 345", "12345"),
            ("12345,6", "12345.6"),
            ("\u{feff}710\u{200b}", "710"),
            (".50", "0.5"),
            (",50", "0.5"),
            ("5.", "5"),
            ("5,", "5"),
            // PHP's number_format.
            ("1,234.00", "1234"),
            ("1,234,567.8", "1234567.8"),
            ("1,234,567", "1234567"),
            ("999,999.", "999999"),
            ("1.234,56", "1234.56"),
            ("1.234,5", "1234.5"),
            ("1.234.567", "1234567"),
            ("1'234.5", "1234.5"),
            ("1’234’567,50", "1234567.5"),
            ("710 руб.", "710"),
            ("710,50 руб", "710.5"),
            ("710.50 руб.", "710.5"),
            ("1 234,56\u{a0}₽", "1234.56"),
            ("710р.", "710"),
            ("710 RUB", "710"),
        ] {
            let amount = parse(sent, 10).unwrap_or_else(|e| panic!("{sent}: {e:?}"));
            assert_eq!(amount.value, left.parse().expect("a decimal"), "{sent}");
            assert!(!amount.is_rounded, "{sent}");
        }
    }

    #[test]
    fn more_than_two_decimals_are_rounded_half_away_from_zero() {
        for (sent, left, is_rounded) in [
            ("118.3333", "118.33", true),
            ("0.005", "0.01", true),
            ("0.004", "0", true),
            ("0.995", "1", true),
            ("1,2345", "1.23", true),
            ("1,234", "1.23", true),
            ("0.001", "0", true),
            ("-0.001", "0", true),
            ("5e-3", "0.01", true),
            ("4e-10", "0", false),
            ("1e-400", "0", false),
            ("1e-999999999999", "0", false),
            // The noise of a binary float: less than 0.000001.
            ("27964.000000000004", "27964", false),
            ("0.30000000000000004", "0.3", false),
            ("19.989999999999998", "19.99", false),
            ("0.0000009", "0", false),
            ("0.000001", "0", true),
            ("0.009999", "0.01", true),
            ("0.0099991", "0.01", false),
            ("0.00999900", "0.01", true),
            ("9999999999.9899999999", "9999999999.99", false),
        ] {
            let amount = parse(sent, 10).unwrap_or_else(|e| panic!("{sent}: {e:?}"));
            assert_eq!(amount.value, left.parse().expect("a decimal"), "{sent}");
            assert_eq!(amount.is_rounded, is_rounded, "{sent}");
        }
    }

    #[test]
    fn a_whole_number_is_its_digits() {
        for (sent, digits) in [
            ("68", Some("68")),
            ("68.0", Some("68")),
            ("6.8e1", Some("68")),
            ("680e-1", Some("68")),
            ("-5", Some("-5")),
            ("-5.00", Some("-5")),
            ("0", Some("0")),
            ("-0", Some("0")),
            ("0.0", Some("0")),
            ("0e999999999999", Some("0")),
            ("1e3", Some("1000")),
            ("1e9", Some("1000000000")),
            ("1e10", None),
            ("12345678901", None),
            ("1e999999999999", None),
            ("68.5", None),
            ("1e-1", None),
        ] {
            assert_eq!(whole_digits(sent, 10).as_deref(), digits, "{sent}");
        }
    }

    #[test]
    fn whole_numbers_may_come_with_a_zero_fraction() {
        assert_eq!(parse_whole("2.00", 1, 10), Ok(2));
        assert_eq!(parse_whole("2e0", 1, 10), Ok(2));
        for (text, whole) in [
            ("2,000", 2),
            ("2,0", 2),
            (" 1 000 ", 1_000),
            ("1\u{a0}068", 1_068),
            ("1,234.00", 1_234),
            ("1.9999999999999998", 2),
            ("2.0000000000000004", 2),
            ("0.9999991", 1),
            ("2.0000009", 2),
        ] {
            assert_eq!(parse_whole(text, 1, 2_000), Ok(whole), "{text}");
        }
        for text in [
            "2.5", "2,5", "1,234", "1.999999", "2.000001", "7 10", "2 шт", "1.5e-9",
        ] {
            let read = parse_whole(text, 1, 10);
            assert_eq!(
                read,
                Err(if text == "1.5e-9" {
                    Invalid::OutOfRange
                } else {
                    Invalid::NotANumber
                }),
                "{text}"
            );
        }
        assert_eq!(parse_whole("0", 1, 10), Err(Invalid::OutOfRange));
        assert_eq!(
            parse_whole("99999999999999999999", 1, 10),
            Err(Invalid::OutOfRange)
        );
        assert_eq!(parse_whole("1e400", 1, 10), Err(Invalid::OutOfRange));
        // Zeros in front make nothing large, and an exponent neither.
        for broken in [
            "00000000000000000000.5",
            "0.00000000000000000000005e20",
            "12345678901234567890.5",
        ] {
            assert_eq!(
                parse_whole(broken, 1, 10),
                Err(Invalid::NotANumber),
                "{broken}"
            );
        }
        for (text, whole) in [
            ("9223372036854775807", Ok(i64::MAX)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("-922337203685477580.8e1", Ok(i64::MIN)),
            ("9223372036854775808", Err(Invalid::OutOfRange)),
            ("-9223372036854775809", Err(Invalid::OutOfRange)),
        ] {
            assert_eq!(parse_whole(text, i64::MIN, i64::MAX), whole, "{text}");
        }
    }
}
