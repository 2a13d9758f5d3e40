//! The orders' path: however it is spelled it is found, and nothing else is taken for it (contract §1).

use aqua_orders::http::path::canonical;
use axum::http::Uri;

/// Its parts behind the publication.
const FIXED: [&str; 3] = ["hs", "AquaDeliveri", "getOrdersURL"];

/// What a spelling may have at its end.
const ENDS: [&str; 8] = [
    "",
    "/",
    "//",
    "%20",
    "%20/%09",
    "\u{A0}",
    "%C2%a0",
    "%E2%80%8B%ef%bb%bf//%0D%0a",
];

/// A request's target; and any bytes as a way to spell the path.
pub fn check(input: &[u8]) {
    if let Ok(uri) = Uri::try_from(input) {
        let found = canonical(&uri).unwrap_or_else(|| uri.clone());
        assert_eq!(canonical(&found), None, "{uri}");
        assert_eq!(found.query(), uri.query(), "{uri}");
        assert_eq!(found.authority(), uri.authority(), "{uri}");
        let parts = parts(uri.path());
        let expected = match &parts[..] {
            [publication, ..] if is_the_orders(&parts) => {
                format!("/{publication}/{}", FIXED.join("/"))
            }
            parts if uri.path().starts_with('/') => format!("/{}", parts.join("/")),
            _ => uri.path().to_owned(),
        };
        assert_eq!(found.path(), expected, "{uri}");
    }

    let mut choices = input.iter().copied().cycle();
    let slashes = |choice: u8| "/".repeat(usize::from(choice % 3).max(1));
    let mut spelled = slashes(choices.next().unwrap_or(0)) + "demo";
    for part in FIXED {
        spelled.push_str(&slashes(choices.next().unwrap_or(0)));
        for letter in part.chars() {
            let letter = match choices.next().unwrap_or(0) % 6 {
                0 => letter.to_string(),
                1 => letter.to_ascii_uppercase().to_string(),
                2 => letter.to_ascii_lowercase().to_string(),
                3 => format!("%{:02x}", u32::from(letter)),
                4 => format!("%{:02X}", u32::from(letter.to_ascii_uppercase())),
                _ => format!("%{:02X}", u32::from(letter.to_ascii_lowercase())),
            };
            spelled.push_str(&letter);
        }
    }
    spelled.push_str(ENDS[input.len() % ENDS.len()]);
    let uri: Uri = spelled.parse().expect("a path");
    let found = canonical(&uri).unwrap_or(uri);
    assert_eq!(
        found.path(),
        format!("/demo/{}", FIXED.join("/")),
        "{spelled}"
    );
}

/// The contract once more: a publication, and the three parts in any case and escaped or not.
fn is_the_orders(parts: &[&str]) -> bool {
    let Some((_, parts)) = parts.split_first() else {
        return false;
    };
    parts.len() == 3
        && parts
            .iter()
            .zip(FIXED)
            .all(|(part, fixed)| unescaped(part.as_bytes()).eq_ignore_ascii_case(fixed.as_bytes()))
}

/// What stands between slashes, however many, without the blanks at the path's end.
fn parts(path: &str) -> Vec<&str> {
    let zero_width = ['\u{200B}', '\u{200C}', '\u{200D}', '\u{2060}', '\u{FEFF}'];
    let blanks = (char::MIN..'\u{FFFF}').filter(|char| char.is_whitespace());
    let ends: Vec<String> = blanks
        .chain(zero_width)
        .flat_map(|char| {
            let raw = char.to_string();
            let escapes = raw.bytes().map(|byte| format!("%{byte:02x}"));
            let in_all = escapes.collect::<Vec<_>>().concat();
            [raw, in_all]
        })
        .chain(["/".to_owned()])
        .collect();
    let mut length = path.len();
    let lower = path.to_ascii_lowercase();
    while let Some(end) = ends.iter().find(|end| lower[..length].ends_with(*end)) {
        length -= end.len();
    }
    path[..length]
        .split('/')
        .filter(|part| !part.is_empty())
        .collect()
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16);
    match text {
        [b'%', high, low, rest @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
            let byte = hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0);
            let byte = u8::try_from(byte).expect("two digits");
            [vec![byte], unescaped(rest)].concat()
        }
        [first, rest @ ..] => [vec![*first], unescaped(rest)].concat(),
        [] => Vec::new(),
    }
}
