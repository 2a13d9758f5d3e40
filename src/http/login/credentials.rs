//! The `Authorization` header.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Some senders leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const SCHEME: &[u8] = b"Basic ";

/// A login without a colon, and a password that may have one.
pub struct Credentials {
    pub login: String,
    pub password: String,
}

impl Credentials {
    /// The scheme Basic, in UTF-8 as we ask for it (RFC 7617).
    pub fn read(authorization: &[u8]) -> Option<Self> {
        let (scheme, token) = authorization.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let text = String::from_utf8(BASE64.decode(token.trim_ascii()).ok()?).ok()?;
        let (login, password) = text.split_once(':')?;
        Some(Self {
            login: login.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// The token of the scheme Bearer.
pub fn bearer(authorization: &[u8]) -> Option<&str> {
    const SCHEME: &[u8] = b"Bearer ";
    let (scheme, token) = authorization.split_at_checked(SCHEME.len())?;
    let token = scheme
        .eq_ignore_ascii_case(SCHEME)
        .then(|| token.trim_ascii())?;
    str::from_utf8(token).ok().filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    #[test]
    fn credentials_are_read_as_rfc_7617_has_them() {
        let encoded = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        for (header, credentials) in [
            ("Basic c2l0ZTpzZWNyZXQ=", Some(("site", "secret"))),
            ("basic   c2l0ZTpzZWNyZXQ", Some(("site", "secret"))),
            (&encoded("сайт:пароль"), Some(("сайт", "пароль"))),
            (&encoded("site:a:b:"), Some(("site", "a:b:"))),
            (&encoded(":"), Some(("", ""))),
            ("", None),
            ("Basic", None),
            ("Basic ", None),
            ("Basic c2l0ZQ==", None),     // no colon
            ("Basic //79", None),         // no UTF-8
            ("Basic c2l0ZTpz~WNy", None), // no base64
            ("Bearer c2l0ZTpzZWNyZXQ=", None),
            ("Basicc2l0ZTpzZWNyZXQ=", None),
        ] {
            let read = Credentials::read(header.as_bytes());
            let read = read.map(|read| (read.login, read.password));
            let due = credentials.map(|(login, password)| (login.into(), password.into()));
            assert_eq!(read, due, "{header}");
        }
    }
}
