//! Numbers, exact from end to end: never through a binary float (contract §3).

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Why a text is not the number that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// It is no number at all, or no whole one where a whole one is needed.
    NotANumber,
    /// It is one, but too large, too small or too finely divided.
    OutOfRange,
}

/// As far as an exponent is followed.
const FAR: i64 = 1_000_000_000;

/// A decimal number split into what it is made of: `digits × 10^-scale`, without needless zeros at its end.
struct Exact<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

/// Splits `-12.50e3`. Takes what JSON takes, and besides what a numeric string of PHP's may have: a plus, zeros in front.
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
    let (whole, fraction) = match mantissa.split_once('.') {
        None => (mantissa, ""),
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
    };
    if whole.is_empty()
        || !whole
            .bytes()
            .chain(fraction.bytes())
            .all(|b| b.is_ascii_digit())
    {
        return None;
    }
    Some(Exact {
        negative,
        whole,
        fraction,
        exponent,
    })
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
        // Counted away from zero, so that the least i64, which has no opposite, comes through too.
        let away = |value: i64, digit: i64| {
            let digit = if self.negative { -digit } else { digit };
            value.checked_mul(10)?.checked_add(digit)
        };
        let mut value: i64 = 0;
        for b in self.digits().take(usize::try_from(keep.max(0)).ok()?) {
            value = away(value, i64::from(b - b'0'))?;
        }
        for _ in length..keep {
            value = away(value, 0)?;
        }
        Some(value)
    }
}

/// Reads an amount in roubles with at most two decimals, from 0 to below `10^whole_digits`.
///
/// # Errors
/// [`Invalid::NotANumber`] or [`Invalid::OutOfRange`]; the latter also for a third decimal, for amounts are stored
/// as sent and never rounded (contract §5).
pub fn parse(text: &str, whole_digits: u32) -> Result<Decimal, Invalid> {
    let hundredths = split(text)
        .ok_or(Invalid::NotANumber)?
        .scaled(2)
        .ok_or(Invalid::OutOfRange)?;
    if hundredths < 0 || hundredths >= 10_i64.pow(whole_digits + 2) {
        return Err(Invalid::OutOfRange);
    }
    Ok(Decimal::new(hundredths, 2).normalize())
}

/// Reads a whole number; `2.0` and `"2.00"` are whole, as PHP prints them.
///
/// # Errors
/// [`Invalid::NotANumber`] for a broken one, [`Invalid::OutOfRange`] for one outside `min..=max`.
pub fn parse_whole(text: &str, min: i64, max: i64) -> Result<i64, Invalid> {
    let exact = split(text).ok_or(Invalid::NotANumber)?;
    match exact.scaled(0) {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        Some(_) => Err(Invalid::OutOfRange),
        None if exact.is_whole(0) => Err(Invalid::OutOfRange),
        None => Err(Invalid::NotANumber),
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
            assert_eq!(
                serde_json::to_string(&Number(amount)).expect("a number"),
                left,
                "{sent}"
            );
        }
    }

    #[test]
    fn what_is_no_amount_is_told_apart_from_what_is_out_of_range() {
        for text in [
            "", "-", "abc", "1,5", ".5", "5.", "1e", "1e+", "0x10", "1 000", "NaN", "Infinity",
            "--1", "1.2.3", "е1", "1e+-2", "1e-+2",
        ] {
            assert_eq!(parse(text, 10), Err(Invalid::NotANumber), "{text}");
        }
        for text in [
            "10000000000",
            "9999999999.995",
            "0.001",
            "-0.01",
            "-1",
            "1e400",
            "1e-400",
            "1e99999999999999999999",
        ] {
            assert_eq!(parse(text, 10), Err(Invalid::OutOfRange), "{text}");
        }
    }

    #[test]
    fn whole_numbers_may_come_with_a_zero_fraction() {
        assert_eq!(parse_whole("2.00", 1, 10), Ok(2));
        assert_eq!(parse_whole("2e0", 1, 10), Ok(2));
        assert_eq!(parse_whole("2.5", 1, 10), Err(Invalid::NotANumber));
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
