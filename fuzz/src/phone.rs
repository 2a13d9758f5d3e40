//! Phones: what we answer comes in again as the same phone (contract §3).

use aqua_orders::order::phone::{Region, answered, parse};

/// Any text.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for region in [Region::Ru, Region::Kz, Region::International] {
        let read = parse(&text, region);
        assert_eq!(read, expected(&text, region), "{text:?} in {region:?}");
        let Some(e164) = read else { continue };
        comes_in_again(&e164, region);
    }
}

/// A stored phone, as it is answered and as it is written in full.
pub fn comes_in_again(e164: &str, region: Region) {
    let digits = e164.strip_prefix('+').expect("a plus");
    assert!(
        (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()),
        "{e164} is no E.164"
    );
    let out = answered(e164, region);
    assert!(
        out == e164 || (out.len() == 10 && e164.strip_prefix("+7") == Some(out)),
        "{e164} is answered as {out}"
    );
    for text in [e164, out] {
        assert_eq!(
            parse(text, region).as_deref(),
            Some(e164),
            "{text} in {region:?}"
        );
    }
    // Spaces, dashes and brackets change nothing, wherever they stand.
    let spread: String = out.chars().flat_map(|c| [' ', c, '-', '(', ')']).collect();
    assert_eq!(parse(&spread, region).as_deref(), Some(e164), "{spread:?}");
}

/// Contract §3 once more, in the order in which it says it.
fn expected(text: &str, region: Region) -> Option<String> {
    const DROPPED: &str = "()[]{}-\u{ad}\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2043}\u{2212}\u{fe58}\
        \u{fe63}\u{ff0d}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\
        \u{2066}\u{2067}\u{2068}\u{2069}\u{feff}";
    let bare: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !DROPPED.contains(*c))
        .collect();
    let (plus, digits) = match bare.strip_prefix('+') {
        Some(digits) => (true, digits),
        None => (false, &*bare),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if plus {
        return (8..=15)
            .contains(&digits.len())
            .then(|| format!("+{digits}"));
    }
    if region == Region::International {
        return None;
    }
    match digits.len() {
        10 => Some(format!("+7{digits}")),
        11 if digits.starts_with(['7', '8']) => Some(format!("+7{}", &digits[1..])),
        _ => None,
    }
}
