//! `aqua-orders hash-password`: a password in, what to write into the settings out (contract §1).

use std::io::{self, BufRead, IsTerminal, Write};

use argon2::{Argon2, PasswordHasher};

use super::{CommandError, because};

/// Longer than any password; what is longer is not one.
const MOST_BYTES: u64 = 4096;

/// Reads a password, from the terminal twice or else the first line of stdin, and prints its hash.
pub(super) fn run() -> Result<(), CommandError> {
    let stdin = io::stdin();
    let password = if stdin.is_terminal() {
        let ask = |prompt| {
            rpassword::prompt_password(prompt)
                .map_err(|error| because("cannot read from the terminal", &error))
        };
        let password = ask("Password: ")?;
        if ask("The same again: ")? != password {
            return Err("the two passwords differ: nothing was made".into());
        }
        checked(password.into_bytes())?
    } else {
        first_line(stdin.lock())?
    };
    let hash = hash(&password)?;
    writeln!(io::stdout(), "{hash}").map_err(|error| because("cannot print the hash", &error))
}

fn first_line(input: impl BufRead) -> Result<String, CommandError> {
    let mut line = Vec::new();
    input
        .take(MOST_BYTES + 2)
        .read_until(b'\n', &mut line)
        .map_err(|error| because("cannot read stdin", &error))?;
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    checked(line)
}

/// A password that a sender can send: UTF-8, as we ask for it in every 401.
fn checked(password: Vec<u8>) -> Result<String, CommandError> {
    if password.is_empty() {
        return Err("an empty password: nothing was made".into());
    }
    if password.len() as u64 > MOST_BYTES {
        return Err(format!("a password of more than {MOST_BYTES} bytes"));
    }
    String::from_utf8(password)
        .map_err(|_| "the password is no UTF-8 text, and senders send it in UTF-8".into())
}

/// With the parameters that OWASP recommends, which are the library's own: 19 MiB, two passes.
fn hash(password: &str) -> Result<String, CommandError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| because("cannot hash the password", &error))
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    #[test]
    fn a_hash_is_argon2id_and_right_for_its_password_only() {
        let made = hash("пароль").expect("a hash");
        assert!(
            made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{made}"
        );
        let verify =
            |password: &str| Argon2::default().verify_password(password.as_bytes(), &*made);
        assert!(verify("пароль").is_ok());
        assert!(verify("Пароль").is_err());
        assert_ne!(hash("пароль").expect("a hash"), made, "salted");
    }

    #[test]
    fn the_first_line_is_the_password_without_its_end() {
        let read = |input: &[u8]| first_line(input);
        for (input, password) in [
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret", "secret"),
            ("secret\nmore\n", "secret"),
            (" пароль \n", " пароль "),
            ("a\rb\r\r\n", "a\rb\r"),
        ] {
            assert_eq!(read(input.as_bytes()).as_deref(), Ok(password), "{input:?}");
        }
        let long = vec![b'a'; 4096];
        assert!(read(&long).is_ok());
        for refused in [b"".as_slice(), b"\n", b"\r\n", b"\xFF\n", &[b'a'; 4097]] {
            assert!(read(refused).is_err(), "{} bytes", refused.len());
        }
    }
}
