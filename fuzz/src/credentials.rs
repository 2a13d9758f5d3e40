//! Basic credentials: what a sender may write is read as it was meant, and nothing else is taken for it (contract §1).

use aqua_orders::http::login::Credentials;

/// The value of an `Authorization` header; and any text as a login and a password.
pub fn check(input: &[u8]) {
    let read = read(input);
    assert_eq!(
        read,
        expected(input),
        "{:?}",
        String::from_utf8_lossy(input)
    );
    if let Some((login, password)) = read {
        comes_in_again(&login, &password);
    }
    let text = String::from_utf8_lossy(input);
    let (login, password) = text.split_once('\n').unwrap_or((&text, ""));
    comes_in_again(&login.replace(':', ""), password);
}

fn read(authorization: &[u8]) -> Option<(String, String)> {
    Credentials::read(authorization).map(|read| (read.login, read.password))
}

/// However the scheme is spelled, however much room is left around it, with its padding and without.
fn comes_in_again(login: &str, password: &str) {
    let encoded = encode(format!("{login}:{password}").as_bytes());
    let bare = encoded.trim_end_matches('=');
    for header in [
        format!("Basic {encoded}"),
        format!("bASIC {encoded}"),
        format!("Basic {bare}"),
        format!("Basic  {encoded}\t "),
    ] {
        let read = read(header.as_bytes());
        let meant = Some((login.to_owned(), password.to_owned()));
        assert_eq!(read, meant, "{header}");
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..4 {
            let symbol = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() {
                symbol.into()
            } else {
                '='
            });
        }
    }
    text
}

/// RFC 7617 and RFC 4648 once more, the slow way.
fn expected(authorization: &[u8]) -> Option<(String, String)> {
    let (scheme, token) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let token = token.trim_ascii();
    let symbols = token
        .iter()
        .rposition(|byte| *byte != b'=')
        .map_or(0, |last| last + 1);
    let padding = token.len() - symbols;
    if padding > [0, 0, 2, 1][symbols % 4] || symbols % 4 == 1 {
        return None;
    }
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for symbol in &token[..symbols] {
        let (value, _) = (0..).zip(ALPHABET).find(|(_, known)| *known == symbol)?;
        bits = bits << 6 | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over must say nothing.
    if bits != 0 {
        return None;
    }
    let text = String::from_utf8(bytes).ok()?;
    let colon = text.find(':')?;
    Some((text[..colon].to_owned(), text[colon + 1..].to_owned()))
}
