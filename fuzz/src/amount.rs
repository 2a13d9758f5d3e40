//! Numbers: a text in, the same number out, digit by digit (contract §3).

use aqua_orders::order::{
    amount::{Invalid, Number, parse, parse_whole},
    invisible::is_invisible,
};
use rust_decimal::Decimal;

/// Past this an exponent only says "far out of range"; writing its zeros would take all the time.
const LONGEST: i64 = 2_000;

/// Any text.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for digits in [8, 10] {
        amount(text, digits);
    }
    for (min, max) in [
        (i64::MIN, i64::MAX),
        (0, i64::from(i32::MAX)),
        (1, i64::from(i32::MAX)),
    ] {
        whole(text, min, max);
    }
}

fn amount(text: &str, digits: u32) {
    let read = parse(text, digits);
    let Some(plain) = plain(text) else {
        // Written by people: it is the number that it is without groups and currency.
        if read != Err(Invalid::NotANumber) {
            let bare = bare(text);
            assert_ne!(bare, text, "was read as {read:?}");
            assert_eq!(read, parse(&bare, digits), "{text:?}");
        }
        return;
    };
    let (value, is_rounded) = plain.rounded(2);
    let fits = value.is_some_and(|value| (0..10_i128.pow(digits + 2)).contains(&value));
    match read {
        Ok(read) => {
            assert!(fits, "{text:?} does not fit, and was read as {read:?}");
            assert_eq!(read.is_rounded, is_rounded, "{text:?}");
            let left = written(&Number(read.value));
            assert_eq!(
                read.value,
                Decimal::from_i128_with_scale(value.unwrap_or(-1), 2),
                "{text:?}"
            );
            let again = parse(&left, digits).map(|amount| (amount.value, amount.is_rounded));
            assert_eq!(again, Ok((read.value, false)), "{text:?} once more");
            assert!(read.value.scale() <= 2);
        }
        Err(Invalid::OutOfRange) => assert!(!fits, "{text:?} fits, and was refused"),
        Err(Invalid::NotANumber) => panic!("{text:?} is a number"),
    }
}

fn whole(text: &str, min: i64, max: i64) {
    let read = parse_whole(text, min, max);
    let Some(plain) = plain(text) else {
        if read != Err(Invalid::NotANumber) {
            let bare = bare(text);
            assert_ne!(bare, text, "was read as {read:?}");
            assert_eq!(read, parse_whole(&bare, min, max), "{text:?}");
        }
        return;
    };
    let expected = match plain.rounded(0) {
        (_, true) => Err(Invalid::NotANumber),
        (Some(whole), _) if (i128::from(min)..=i128::from(max)).contains(&whole) => {
            Ok(i64::try_from(whole).expect("between two i64"))
        }
        _ => Err(Invalid::OutOfRange),
    };
    assert_eq!(read, expected, "{text:?} from {min} to {max}");
}

/// Without what stands around and between its digits.
fn bare(text: &str) -> String {
    let is_seen = |c: &char| !c.is_whitespace() && !is_invisible(*c);
    let mut bare: String = text.chars().filter(is_seen).collect();
    let end = bare
        .rfind(|c: char| c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    if bare[end..].chars().any(char::is_alphabetic) || bare.ends_with('₽') {
        bare.truncate(end);
    }
    if bare.contains('.') || bare.matches(',').count() > 1 {
        bare.replace(',', "")
    } else {
        bare.replace(',', ".")
    }
}

/// As JSON.
pub fn written(number: &Number) -> String {
    serde_json::to_string(number).expect("a number")
}

/// A number without its exponent and its needless zeros: the oracle. It counts nothing, it only moves the point.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain {
    negative: bool,
    whole: String,
    fraction: String,
}

impl Plain {
    /// Times `10^scale`, rounded half away from zero, and whether that is more than a binary float's noise. `None` where it is
    /// larger than anything that is asked for.
    fn rounded(&self, scale: usize) -> (Option<i128>, bool) {
        let padded = format!("{:0<scale$}", self.fraction);
        let (kept, cut) = padded.split_at(scale);
        let is_up = cut.starts_with(['5', '6', '7', '8', '9']);
        // Less than 0.000001 to either side; there are no needless zeros at its end.
        let is_noise = cut.is_empty()
            || cut.starts_with(&"000000"[scale..])
            || cut
                .strip_prefix(&"999999"[scale..])
                .is_some_and(|rest| !rest.is_empty());
        let value = format!("0{}{kept}", self.whole).parse::<i128>().ok();
        let sign = if self.negative { -1 } else { 1 };
        (
            value.map(|value| sign * (value + i128::from(is_up))),
            !is_noise,
        )
    }

    /// As JSON.
    pub fn text(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let whole = if self.whole.is_empty() {
            "0"
        } else {
            &self.whole
        };
        let point = if self.fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{}", self.fraction)
    }
}

/// Cuts digits off the front.
fn digits<'t>(text: &mut &'t str) -> &'t str {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits
}

/// Reads `[+-]digits[.digits][e[+-]digits]`; the digits of one side of the point may lack.
pub fn plain(text: &str) -> Option<Plain> {
    let mut rest = text;
    let negative = rest.starts_with('-');
    rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let whole = digits(&mut rest);
    let mut fraction = "";
    if let Some(behind) = rest.strip_prefix('.') {
        rest = behind;
        fraction = digits(&mut rest);
    }
    let mut exponent = 0;
    if let Some(behind) = rest.strip_prefix(['e', 'E']) {
        rest = behind;
        let down = rest.starts_with('-');
        rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let far = digits(&mut rest);
        (!far.is_empty()).then_some(())?;
        let far = far.parse().unwrap_or(i64::MAX / 2).min(1_000_000_000);
        exponent = if down { -far } else { far };
    }
    (whole.len() + fraction.len() > 0 && rest.is_empty()).then_some(())?;

    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let first = all.iter().position(|digit| *digit != b'0');
    let last = all.iter().rposition(|digit| *digit != b'0');
    let (Some(first), Some(last)) = (first, last) else {
        return Some(Plain {
            negative: false,
            whole: String::new(),
            fraction: String::new(),
        });
    };
    let count = |n: usize| i64::try_from(n).expect("no text is that long");
    // Where the point stands, counted from the first digit that says something.
    let point = count(whole.len()) - count(first) + exponent;
    let all = String::from_utf8(all[first..=last].to_vec()).expect("digits");
    let length = count(all.len());
    let zeros = |n: i64| "0".repeat(usize::try_from(n.clamp(0, LONGEST)).unwrap_or(0));
    let (whole, fraction) = if point <= 0 {
        (String::new(), zeros(-point) + &all)
    } else if point >= length {
        (all + &zeros(point - length), String::new())
    } else {
        let at = usize::try_from(point).expect("between 0 and the length");
        (all[..at].to_owned(), all[at..].to_owned())
    };
    Some(Plain {
        negative,
        whole,
        fraction,
    })
}
