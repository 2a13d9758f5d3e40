use std::collections::HashSet;

use super::{
    environment::Environment,
    file::{At, Section, closest},
    publication::Publication,
    secret::Secret,
    user::{NO_PLAIN_PASSWORDS, password_hash, read_password_hash},
};

/// The operator that `AQUA_CONSOLE_PASSWORD_HASH` makes.
const ADMIN: &str = "admin";
/// No login is longer: it is written beside everything its owner does.
const MOST_SYMBOLS: usize = 64;

/// What an operator may do in the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperatorRole {
    /// Works on orders.
    Dispatcher,
    /// Sees besides who did what.
    Admin,
}

/// `[[operator.user]]`: one login of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorUser {
    pub login: String,
    pub role: OperatorRole,
    pub password_hash: Secret,
    /// The names of those whose orders are his to see; at least one.
    pub publications: Vec<String>,
}

impl OperatorUser {
    pub(super) fn read_all(
        operator: &mut Section<'_>,
        publications: &[Publication],
        environment: &Environment,
    ) -> Vec<Self> {
        let mut logins = HashSet::new();
        let mut users = Vec::new();
        if let Some(hash) = &environment.console_password_hash {
            match password_hash(hash.expose()) {
                Ok(password_hash) => {
                    logins.insert(ADMIN.to_owned());
                    users.push(Self {
                        login: ADMIN.to_owned(),
                        role: OperatorRole::Admin,
                        password_hash,
                        publications: names(publications),
                    });
                }
                Err(what) => operator.problems.add(
                    0,
                    format!("AQUA_CONSOLE_PASSWORD_HASH in the environment: {what}"),
                ),
            }
        }
        for section in operator.sections("user", "written as [[operator.user]], a block for each") {
            let (at, problems) = (section.at, section.problems);
            let Some(user) = Self::read(section, publications) else {
                continue;
            };
            if logins.insert(user.login.clone()) {
                users.push(user);
            } else {
                let from = match &environment.console_password_hash {
                    Some(_) if user.login == ADMIN => " (one by AQUA_CONSOLE_PASSWORD_HASH)",
                    _ => "",
                };
                problems.add(
                    at,
                    format!(
                        "two operators are called {:?}{from}: rename one",
                        user.login
                    ),
                );
            }
        }
        users
    }

    fn read(mut section: Section<'_>, publications: &[Publication]) -> Option<Self> {
        let (at, problems) = (section.at, section.problems);
        let login = section.parsed("login", |text| {
            let is_name = !text.trim().is_empty()
                && text.chars().count() <= MOST_SYMBOLS
                && !text.chars().any(char::is_control);
            is_name
                .then(|| text.to_owned())
                .ok_or_else(|| format!("write a name of at most {MOST_SYMBOLS} characters"))
        });
        if section.at("login").is_none() {
            problems.add(at, "an operator without `login`");
        }
        let role = section.word(
            "role",
            &[
                ("dispatcher", OperatorRole::Dispatcher),
                ("admin", OperatorRole::Admin),
            ],
            "write \"dispatcher\", who works on orders, or \"admin\", who sees besides who did what",
        );
        if section.at("role").is_none() {
            problems.add(
                at,
                "an operator without `role`: write \"dispatcher\" or \"admin\"",
            );
        }
        let own = match section.at("publications") {
            None => Some(names(publications)),
            Some(at) => own_publications(&mut section, at, publications),
        };
        let password_hash = read_password_hash(&mut section);
        section.finish(&[
            ("password", NO_PLAIN_PASSWORDS),
            ("user", "write `login`"),
            ("hash", "write `password_hash`"),
            ("publication", "write `publications`, a list of names"),
        ]);
        Some(Self {
            login: login?,
            role: role?,
            password_hash: password_hash?,
            publications: own?,
        })
    }
}

fn names(publications: &[Publication]) -> Vec<String> {
    let names = publications.iter();
    names.map(|publication| publication.name.clone()).collect()
}

/// The publications that an operator is bound to, each by a name or an alias of it.
fn own_publications(
    section: &mut Section<'_>,
    at: usize,
    publications: &[Publication],
) -> Option<Vec<String>> {
    let mut own: Vec<String> = Vec::new();
    for At { at, value } in section.texts("publications") {
        let name = value.to_lowercase();
        let known = publications
            .iter()
            .find(|known| known.name == name || known.aliases.contains(&name));
        match known {
            Some(known) if !own.contains(&known.name) => own.push(known.name.clone()),
            Some(_) => {}
            None => {
                let names = publications.iter().map(|known| known.name.as_str());
                let hint = closest(&name, names.clone()).map_or_else(
                    || format!("there are: {}", names.collect::<Vec<_>>().join(", ")),
                    |name| format!("did you mean {name:?}?"),
                );
                section
                    .problems
                    .add(at, format!("`publications`: there is no {value:?}; {hint}"));
            }
        }
    }
    if own.is_empty() {
        section.problems.add(
            at,
            "`publications` of an operator names none: take the line out, and he sees all",
        );
        return None;
    }
    Some(own)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Environment, OperatorRole, Secret};

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$K6VLQaNzJpAaWCuPzFQ9Aw";
    const PUBLICATIONS: &str = "[[publication]]\nname = \"shop\"\naliases = [\"shop_web\"]\nanonymous = true\n\
                                [[publication]]\nname = \"доставка\"\nanonymous = true\n";

    fn parse_with(text: &str, environment: &Environment) -> Result<Config, String> {
        let text = format!("{PUBLICATIONS}{text}");
        Config::parse("aqua.toml".as_ref(), &text, environment).map_err(|error| error.to_string())
    }

    fn parse(text: &str) -> Result<Config, String> {
        parse_with(text, &Environment::default())
    }

    fn user(more: &str) -> String {
        format!("[[operator.user]]\npassword_hash = \"{HASH}\"\n{more}\n")
    }

    #[test]
    fn an_operator_sees_every_publication_or_those_that_are_named() {
        let text = user(
            "login = \"Анна\"\nrole = \"dispatcher\"\npublications = [\"SHOP_web\", \"shop\"]",
        ) + &user("login = \"boss\"\nrole = \"admin\"");
        let users = parse(&text).expect("right").operator.users;
        assert_eq!(users[0].login, "Анна");
        assert_eq!(users[0].role, OperatorRole::Dispatcher);
        assert_eq!(users[0].publications, ["shop"]);
        assert_eq!(users[1].role, OperatorRole::Admin);
        assert_eq!(users[1].publications, ["shop", "доставка"]);
        assert!(parse("").expect("right").operator.users.is_empty());
    }

    #[test]
    fn what_is_wrong_with_an_operator_is_said_with_how_to_fix_it() {
        let right = "login = \"a\"\nrole = \"admin\"";
        for (text, says) in [
            (user("role = \"admin\""), "without `login`"),
            (user("login = \"a\""), "without `role`"),
            (user("login = \"a\"\nrole = \"owner\""), "\"dispatcher\""),
            (user("login = \" \"\nrole = \"admin\""), "at most 64"),
            (
                user(&format!("{right}\npublications = [\"shopp\"]")),
                "did you mean \"shop\"?",
            ),
            (user(&format!("{right}\npublications = []")), "names none"),
            (
                user(&format!("{right}\npublication = \"shop\"")),
                "`publications`",
            ),
            (user(right) + &user(right), "two operators are called \"a\""),
            (
                format!("[[operator.user]]\n{right}\n"),
                "without `password_hash`",
            ),
            (
                format!("[[operator.user]]\n{right}\npassword = \"secret-42\"\n"),
                "never kept",
            ),
            ("[operator]\nusers = []\n".into(), "[[operator.user]]"),
            ("[operator]\nuser = \"a\"\n".into(), "[[operator.user]]"),
        ] {
            let report = parse(&text).expect_err("a fault");
            assert!(report.contains(says), "{text}: {report}");
            assert!(!report.contains("secret-42"), "{report}");
        }
    }

    #[test]
    fn beyond_loopback_the_console_needs_tls_or_a_trusted_proxy() {
        let users = user("login = \"a\"\nrole = \"admin\"");
        let open = |more: &str| {
            parse(&format!(
                "[operator]\nlisten = \"0.0.0.0:9888\"\n{more}{users}"
            ))
        };
        let report = open("").expect_err("plain text");
        assert!(
            report.starts_with("aqua.toml:10: the console at 0.0.0.0:9888"),
            "{report}"
        );
        open("trusted_proxies = [\"172.16.0.0/12\"]\n").expect("a proxy");
        open("tls = { cert = \"c.pem\", key = \"k.pem\" }\n").expect("TLS");
        let everybody = open("trusted_proxies = [\"0.0.0.0/0\"]\n").expect_err("no proxy");
        assert!(everybody.contains("is everybody"), "{everybody}");
        parse("[operator]\nlisten = \"0.0.0.0:9888\"\n").expect("no console, no passwords");
    }

    #[test]
    fn the_environment_makes_an_admin() {
        let environment = |hash: &str| Environment {
            console_password_hash: Some(Secret::new(hash)),
            ..Environment::default()
        };
        let users = parse_with("", &environment(HASH))
            .expect("right")
            .operator
            .users;
        assert_eq!((users[0].login.as_str(), users.len()), ("admin", 1));
        assert_eq!(users[0].role, OperatorRole::Admin);
        assert_eq!(users[0].publications.len(), 2);
        let report = parse_with("", &environment("secret-42")).expect_err("no hash");
        assert!(report.contains("AQUA_CONSOLE_PASSWORD_HASH"), "{report}");
        assert!(!report.contains("secret-42"), "{report}");
        let twice = user("login = \"admin\"\nrole = \"admin\"");
        let report = parse_with(&twice, &environment(HASH)).expect_err("twice");
        assert!(
            report.contains("(one by AQUA_CONSOLE_PASSWORD_HASH)"),
            "{report}"
        );
    }
}
