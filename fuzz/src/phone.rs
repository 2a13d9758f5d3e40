//! Phones: what we answer comes in again as the same phone (contract §3).

use aqua_orders::order::phone::{Region, answered, parse};

/// Any text.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for region in [Region::Ru, Region::Kz, Region::International] {
        let read = parse(&text, region);
        let whole = expected(&text, region);
        match &read {
            Some(phone) if phone.has_more => {
                // Behind +7 and ten digits no number goes on, however many digits a plus allows.
                let is_russian = phone.e164.len() == 12 && phone.e164.starts_with("+7");
                assert!(
                    whole.is_none() || is_russian,
                    "{text:?} in {region:?} has no more"
                );
                first_of_several(&text, &phone.e164, region);
            }
            // There a placeholder ends, too, and nothing is left.
            None if whole.as_deref().is_some_and(|whole| {
                whole.len() > 12 && expected(&whole[..12], region).is_none()
            }) => {}
            read => assert_eq!(
                read.as_ref().map(|phone| &phone.e164),
                whole.as_ref(),
                "{text:?} in {region:?}"
            ),
        }
        let Some(phone) = read else { continue };
        comes_in_again(&phone.e164, region);
    }
}

/// The number is the beginning of the text's digits.
fn first_of_several(text: &str, e164: &str, region: Region) {
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    let (all, number) = (digits(text), digits(e164));
    let national = number.strip_prefix('7').unwrap_or(&number);
    let is_first = ["", "00", "810"].iter().any(|abroad| {
        [
            &*number,
            national,
            &*format!("8{national}"),
            &*format!("78{national}"),
        ]
        .iter()
        .any(|first| all.starts_with(&format!("{abroad}{first}")))
    });
    assert!(is_first, "{text:?} in {region:?} was read as {e164}");
}

/// Reads a phone beside which nothing stands.
fn whole(text: &str, region: Region) -> Option<String> {
    parse(text, region)
        .filter(|phone| !phone.has_more)
        .map(|phone| phone.e164)
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
            whole(text, region).as_deref(),
            Some(e164),
            "{text} in {region:?}"
        );
    }
    // Spaces, dashes and brackets change nothing, wherever they stand; but behind +7 and ten digits a gap ends the number.
    if out.starts_with("+7") && out.len() > 12 {
        return;
    }
    let spread: String = out.chars().flat_map(|c| [' ', c, '-', '(', ')']).collect();
    assert_eq!(whole(&spread, region).as_deref(), Some(e164), "{spread:?}");
}

/// Contract §3 once more, in the order in which it says it.
fn expected(text: &str, region: Region) -> Option<String> {
    const DROPPED: &str = "()[]{}-\u{ad}\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2043}\u{2212}\u{fe58}\
        \u{fe63}\u{ff0d}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\
        \u{2061}\u{2062}\u{2063}\u{2064}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}.\u{b7}\u{2022}~'\"`«»\
        \u{2018}\u{2019}\u{201a}\u{201b}\u{201c}\u{201d}\u{201e}\u{201f}";
    let is_dropped = |c: char| {
        c.is_whitespace() || DROPPED.contains(c) || ('\u{fe00}'..='\u{fe0f}').contains(&c)
    };
    let (front, text) = text.split_at(text.find(|c: char| c == '+' || c.is_ascii_digit())?);
    let label = front.trim_matches(|c| is_dropped(c) || c == ':');
    let labels = ["", "тел", "телефон", "т", "tel", "phone"];
    if !labels.contains(&&*label.to_lowercase()) {
        return None;
    }
    let bare: String = text.chars().filter(|c| !is_dropped(*c)).collect();
    let (plus, digits) = match bare.strip_prefix('+') {
        Some(digits) => (true, digits),
        None => (false, &*bare),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let is_national = region != Region::International;
    let abroad = ["00", "810"]
        .iter()
        .filter(|dialled| is_national || **dialled == "00")
        .find_map(|dialled| digits.strip_prefix(dialled))
        .filter(|digits| !plus && !digits.starts_with('0'));
    let e164 = match digits.len() {
        10 if !plus && is_national => format!("+7{digits}"),
        11 if !plus && is_national && digits.starts_with(['7', '8']) => {
            format!("+7{}", &digits[1..])
        }
        _ => match if plus { digits } else { abroad? } {
            twice if twice.len() == 12 && twice.starts_with("78") => format!("+7{}", &twice[2..]),
            digits if (8..=15).contains(&digits.len()) => format!("+{digits}"),
            _ => return None,
        },
    };
    // Equal digits are typed where a form insists on a phone.
    let digits = &e164[1..];
    let last = &digits[digits.len().saturating_sub(10)..];
    let is_placeholder =
        last.chars().all(|c| last.starts_with(c)) && (last.len() == 10 || last.starts_with('0'));
    (!is_placeholder).then_some(e164)
}
