//! Numbers: a text in, the same number out, digit by digit (contract §3).

use aqua_orders::order::amount::{Invalid, Number, parse, parse_whole};

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
    match (&read, plain(text)) {
        (Err(Invalid::NotANumber), None) => {}
        (read, None) => panic!("{text:?} is no number, and was read as {read:?}"),
        (read, Some(plain)) => {
            let fits = !plain.negative
                && plain.whole.len() <= digits as usize
                && plain.fraction.len() <= 2;
            match read {
                Ok(read) => {
                    assert!(fits, "{text:?} does not fit, and was read as {read}");
                    let left = written(&Number(*read));
                    assert_eq!(left, plain.text(), "{text:?}");
                    assert_eq!(parse(&left, digits), Ok(*read), "{text:?} once more");
                    assert_eq!(
                        read.scale(),
                        u32::try_from(plain.fraction.len()).unwrap_or(9)
                    );
                }
                Err(Invalid::OutOfRange) => assert!(!fits, "{text:?} fits, and was refused"),
                Err(Invalid::NotANumber) => panic!("{text:?} is a number"),
            }
        }
    }
}

fn whole(text: &str, min: i64, max: i64) {
    let read = parse_whole(text, min, max);
    let expected = match plain(text) {
        None => Err(Invalid::NotANumber),
        Some(plain) if !plain.fraction.is_empty() => Err(Invalid::NotANumber),
        Some(plain) => match plain.text().parse::<i128>() {
            Ok(whole) if (i128::from(min)..=i128::from(max)).contains(&whole) => {
                Ok(i64::try_from(whole).expect("between two i64"))
            }
            _ => Err(Invalid::OutOfRange),
        },
    };
    assert_eq!(read, expected, "{text:?} from {min} to {max}");
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

/// Reads `[+-]digits[.digits][e[+-]digits]`.
pub fn plain(text: &str) -> Option<Plain> {
    let mut rest = text;
    let negative = rest.starts_with('-');
    rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    let whole = digits(&mut rest);
    let mut fraction = "";
    if let Some(behind) = rest.strip_prefix('.') {
        rest = behind;
        fraction = digits(&mut rest);
        (!fraction.is_empty()).then_some(())?;
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
    (!whole.is_empty() && rest.is_empty()).then_some(())?;

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
