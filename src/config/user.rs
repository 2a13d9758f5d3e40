use argon2::{ARGON2ID_IDENT, Params, PasswordHash};
use ipnet::IpNet;

use super::{file::Section, network::networks, secret::Secret};

pub(super) const NO_PLAIN_PASSWORDS: &str = "plain passwords are never kept; write `password_hash` with what `aqua-orders hash-password` prints";

/// What a login is for (contract §8). Neither may do what the other may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Posts orders.
    #[default]
    Sender,
    /// Reads the feed, and says what became of the orders.
    BackOffice,
}

/// One login of a publication.
#[derive(Debug, Clone)]
pub struct User {
    pub login: String,
    pub role: Role,
    /// Networks that a back office may come from; empty: those of its publication.
    pub allow_from: Vec<IpNet>,
    pub password_hash: Secret,
}

impl User {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let (at, problems) = (section.at, section.problems);
        let login = section.parsed("login", |text| {
            if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
                Err(
                    "write a name without colons: HTTP Basic ends the login at the first colon"
                        .into(),
                )
            } else {
                Ok(text.to_owned())
            }
        });
        if section.at("login").is_none() {
            problems.add(at, "a user without `login`");
        }
        let role = section.word(
            "role",
            &[("sender", Role::Sender), ("back_office", Role::BackOffice)],
            "write \"sender\", who posts orders, or \"back_office\", who reads the feed",
        );
        let role = role.unwrap_or_default();
        let allow_from = networks(&mut section, "allow_from");
        if let (Role::Sender, Some(at)) = (role, section.at("allow_from")) {
            problems.add(
                at,
                "`allow_from` of a user is for role = \"back_office\": senders are bound by the publication's own",
            );
        }
        let password_hash = read_password_hash(&mut section);
        section.finish(&[
            ("password", NO_PLAIN_PASSWORDS),
            ("user", "write `login`"),
            ("hash", "write `password_hash`"),
        ]);
        Some(Self {
            login: login?,
            role,
            allow_from,
            password_hash: password_hash?,
        })
    }
}

/// `password_hash`, or what stands in the file that `password_hash_file` names.
pub(super) fn read_password_hash(section: &mut Section<'_>) -> Option<Secret> {
    let (at, problems) = (section.at, section.problems);
    let hash = section.parsed("password_hash", password_hash);
    let in_file = section.parsed("password_hash_file", |text| {
        let hash = Secret::from_file(&problems.beside(text))?;
        password_hash(hash.expose())
    });
    match (
        section.at("password_hash"),
        section.at("password_hash_file"),
    ) {
        (Some(_), Some(_)) => problems.add(
            at,
            "`password_hash` and `password_hash_file` say the same thing: take one of them out",
        ),
        (None, None) => problems.add(
            at,
            "a user without `password_hash`: write what `aqua-orders hash-password` prints",
        ),
        _ => {}
    }
    hash.or(in_file)
}

/// Passwords are kept as argon2id hashes and in no other form.
pub(super) fn password_hash(text: &str) -> Result<Secret, String> {
    let how = "write what `aqua-orders hash-password` prints";
    match PasswordHash::new(text) {
        Ok(hash) if hash.algorithm != ARGON2ID_IDENT || hash.hash.is_none() => {
            Err(format!("only argon2id hashes are taken; {how}"))
        }
        Ok(hash) => match Params::try_from(&hash) {
            Ok(_) => Ok(Secret::new(text)),
            Err(_) => Err(format!("its parameters are not argon2id's; {how}")),
        },
        Err(_) => Err(format!("this is no PHC string; {how}")),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::config::file::read;

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$K6VLQaNzJpAaWCuPzFQ9Aw";

    /// A user as a section of its own, or the report.
    fn user_of(settings: &Path, text: &str) -> Result<Option<User>, String> {
        read(settings, &format!("user = {{ {text} }}"), |mut root| {
            User::read(root.section("user"))
        })
    }

    fn user(text: &str) -> Result<Option<User>, String> {
        user_of("aqua.toml".as_ref(), text)
    }

    #[test]
    fn a_password_is_only_taken_as_an_argon2id_hash() {
        let good = format!("login = \"сайт\", password_hash = \"{HASH}\"");
        let good = user(&good).expect("right");
        assert!(
            !format!("{good:?}").contains("argon2id"),
            "a hash is printed"
        );
        for (text, says) in [
            (
                "login = \"a\", password = \"secret-42\"",
                "plain passwords are never kept",
            ),
            (
                "login = \"a\", password_hash = \"secret-42\"",
                "no PHC string",
            ),
            (
                "login = \"a\", password_hash = \"$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$K6VLQaNzJpAaWCuPzFQ9Aw\"",
                "only argon2id",
            ),
            (
                "login = \"a\", password_hash = \"$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$K6VLQaNzJpAaWCuPzFQ9Aw\"",
                "its parameters",
            ),
            ("login = \"a:b\", password_hash = \"x\"", "without colons"),
            ("login = \"a\", role = \"1c\"", "\"back_office\""),
            (
                "login = \"a\", allow_from = [\"10.0.0.0/8\"]",
                "senders are bound by the publication's own",
            ),
        ] {
            let report = user(text).expect_err("a fault");
            assert!(report.contains(says), "{report}");
            assert!(!report.contains("secret-42"), "{report}");
        }
    }

    #[test]
    fn a_hash_may_lie_in_a_file_beside_the_settings() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [
            ("site.hash", format!("{HASH}\n")),
            ("plain", "secret\n".into()),
        ] {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        let with = |hash: &str| {
            let settings = folder.path().join("aqua.toml");
            user_of(&settings, &format!("login = \"site\", {hash}"))
        };
        let found = with("password_hash_file = \"site.hash\"").expect("right");
        assert_eq!(found.expect("a user").password_hash.expose(), HASH);
        let report = with("password_hash_file = \"plain\"").expect_err("a fault");
        assert!(report.contains("no PHC string"), "{report}");
        assert!(!report.contains("secret"), "{report}");
        let both = format!("password_hash = \"{HASH}\", password_hash_file = \"site.hash\"");
        let report = with(&both).expect_err("a fault");
        assert!(report.contains("say the same thing"), "{report}");
    }
}
