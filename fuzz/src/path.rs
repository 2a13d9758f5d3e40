//! The orders' path: however it is spelled it is found, and nothing else is taken for it (contract §1).

use aqua_orders::http::canonical;
use axum::http::Uri;

/// Its parts behind the publication.
const FIXED: [&str; 3] = ["hs", "AquaDeliveri", "getOrdersURL"];

/// A request's target; and any bytes as a way to spell the path.
pub fn check(input: &[u8]) {
    if let Ok(uri) = Uri::try_from(input) {
        let found = canonical(&uri);
        assert_eq!(found.is_some(), is_the_orders(uri.path()), "{uri}");
        if let Some(found) = found {
            let publication = |uri: &Uri| uri.path().split('/').nth(1).map(str::to_owned);
            let expected = format!(
                "/{}/{}",
                publication(&uri).expect("a name"),
                FIXED.join("/")
            );
            assert_eq!(found.path(), expected, "{uri}");
            assert_eq!(found.query(), uri.query(), "{uri}");
            assert_eq!(canonical(&found).as_ref(), Some(&found), "{uri}");
        }
    }

    let mut choices = input.iter().copied().cycle();
    let mut spelled = String::from("/demo");
    for part in FIXED {
        spelled.push('/');
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
    if input.len() % 2 == 1 {
        spelled.push('/');
    }
    let uri: Uri = spelled.parse().expect("a path");
    let found = canonical(&uri).expect("the orders' path");
    assert_eq!(
        found.path(),
        format!("/demo/{}", FIXED.join("/")),
        "{spelled}"
    );
}

/// The contract once more: a publication, the three parts in any case and escaped or not, a slash at the end perhaps.
fn is_the_orders(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let parts = match &parts[..] {
        ["", _, parts @ .., ""] if parts.len() == 3 => parts,
        ["", _, parts @ ..] => parts,
        _ => return false,
    };
    parts.len() == 3
        && parts
            .iter()
            .zip(FIXED)
            .all(|(part, fixed)| unescaped(part.as_bytes()).eq_ignore_ascii_case(fixed.as_bytes()))
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
