use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use ipnet::IpNet;

use super::{
    file::{At, Section},
    limits::Limits,
    network::{Reach, everybody, networks},
    target::Target,
    token::TokenHash,
    user::{NO_PLAIN_PASSWORDS, Role, User},
    zone,
};
use crate::order::{Rules, phone::Region};

/// Unless set.
const DOUBLE_MINUTES: u32 = 10;

/// One 1C infobase published under a name: one tenant (contract, "Words").
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its name, lower-cased: the key of everything it owns in the database.
    pub name: String,
    pub aliases: Vec<String>,
    pub access: Access,
    /// Who reads its feed; no sender, and never anonymous.
    pub back_office: Vec<User>,
    /// Networks that may post; empty = any.
    pub allow_from: Vec<IpNet>,
    /// How its orders are read and answered.
    pub rules: Rules,
    /// Where counting starts, per kind of record.
    pub first_numbers: FirstNumbers,
    /// Orders that are alike and made within so many minutes are marked in the console; 0: none.
    pub double_minutes: u32,
    /// Folder of CSV files to load once, while the publication is empty. Relative to the settings file.
    pub demo_data: Option<PathBuf>,
    /// Where its orders are sent.
    pub targets: Vec<Target>,
    /// Whether its metrics are there from the start, however many publications there are.
    pub watched: bool,
    /// Of the tokens with which a 1C pushes statuses; two while one takes the other's place.
    pub import_tokens: Vec<TokenHash>,
}

/// Who may post to a publication (contract §1).
#[derive(Debug, Clone)]
pub enum Access {
    /// Anybody; an `Authorization` header is ignored.
    Anonymous,
    /// Senders.
    Users(Vec<User>),
}

/// The first number given to a record of each kind (contract §4.3); 1 unless set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstNumbers {
    pub order: i32,
    pub client: i32,
    pub address: i32,
    pub product: i32,
}

impl Publication {
    /// Every `[[publication]]` of the file.
    pub(super) fn read_all(root: &mut Section<'_>, limits: &Limits, reach: Reach) -> Vec<Self> {
        let mut names = Names::default();
        let like = "written as [[publication]], one block for each";
        let publications = root
            .sections("publication", like)
            .into_iter()
            .map(|section| Self::read(section, limits, reach, &mut names))
            .collect();
        if root.at("publication").is_none() {
            root.problems.add(
                0,
                "no publication: add a [[publication]] block with `name` and `users` or `anonymous = true`",
            );
        }
        publications
    }

    fn read<'t>(
        mut section: Section<'t>,
        limits: &Limits,
        reach: Reach,
        names: &mut Names<'t>,
    ) -> Self {
        let problems = section.problems;
        let name = section.text("name");
        let name = name.and_then(|written| names.take(&section, "name", &written));
        if section.at("name").is_none() {
            problems.add(
                section.at,
                "a publication without `name`: write the name that stands in the address",
            );
        }
        let aliases = (section.texts("aliases").into_iter())
            .filter_map(|written| names.take(&section, "aliases", &written))
            .collect();
        let allow_from = networks(&mut section, "allow_from");
        let from_anywhere = section.flag("anonymous_from_anywhere");
        let (access, back_office) = Access::read(&mut section, &allow_from, from_anywhere, reach);
        let timezone = section.parsed("timezone", zone::parse);
        let timezone = timezone.unwrap_or_else(zone::usual);
        let phone_region = section.parsed("phone_region", |text| {
            text.parse::<Region>().map_err(str::to_owned)
        });
        let payment_types = section.at("payment_types").map(|_| {
            let types = section.texts("payment_types").into_iter();
            types.map(|written| written.value.to_owned()).collect()
        });
        let loyalty_system_is_active = section.flag("loyalty_system_is_active");
        let answers_stored = section.flag("answers_stored");
        let mut first = |key| section.number::<i32>(key, 1..=i64::from(i32::MAX)).max(1);
        let first_numbers = FirstNumbers {
            order: first("first_order_number"),
            client: first("first_client_number"),
            address: first("first_address_number"),
            product: first("first_product_number"),
        };
        let double_minutes = if section.at("double_minutes").is_some() {
            section.number("double_minutes", 0..=24 * 60)
        } else {
            DOUBLE_MINUTES
        };
        let demo_data = section.parsed("demo_data", |text| {
            let folder = problems.beside(text);
            if folder.is_dir() {
                Ok(folder)
            } else {
                Err(format!("there is no folder {}", folder.display()))
            }
        });
        let targets = Target::read_all(&mut section, timezone);
        let watched = section.flag("watched");
        let import_tokens = TokenHash::read_all(&mut section, &mut names.tokens);
        section.finish(&[
            ("password", NO_PLAIN_PASSWORDS),
            (
                "targets",
                "write [[publication.target]], one block for each",
            ),
            ("timezones", "write `timezone`, one for each publication"),
        ]);
        // Where anybody anywhere reaches it, the settings must say so. On loopback it holds, too: there may be a proxy that
        // nobody declared.
        let says_so = from_anywhere || everybody(&allow_from).is_some();
        let anybody_may_post = matches!(access, Access::Anonymous) && !bind(&allow_from) && says_so;
        Self {
            name: name.unwrap_or_default(),
            aliases,
            access,
            back_office,
            allow_from,
            rules: Rules {
                timezone,
                phone_region: phone_region.unwrap_or_default(),
                payment_types,
                loyalty_system_is_active,
                answers_stored: answers_stored || !anybody_may_post,
                anybody_may_post,
                max_order_items: limits.order_items,
                max_client_addresses: limits.client_addresses,
            },
            first_numbers,
            double_minutes,
            demo_data,
            targets,
            watched,
            import_tokens,
        }
    }

    /// Whether callers come from networks that the settings name.
    #[must_use]
    pub fn is_bound_to_networks(&self) -> bool {
        bind(&self.allow_from)
    }
}

fn bind(allow_from: &[IpNet]) -> bool {
    !allow_from.is_empty() && everybody(allow_from).is_none()
}

/// The names and aliases that are in use, lower-cased, and how each was written first.
#[derive(Debug, Default)]
struct Names<'t> {
    names: HashMap<String, &'t str>,
    /// Hashes of tokens.
    tokens: HashSet<TokenHash>,
}

impl<'t> Names<'t> {
    /// The name in the form in which it is compared, unless it is wrong. One that is in use is noted.
    fn take(&mut self, section: &Section<'_>, key: &str, written: &At<&'t str>) -> Option<String> {
        let At { at, value } = *written;
        match name(value) {
            Ok(name) => {
                if let Some(other) = self.names.insert(name.clone(), value) {
                    section.problems.add(
                        at,
                        format!("two publications are called {other:?} (names and aliases are compared without case): rename one"),
                    );
                }
                Some(name)
            }
            Err(what) => {
                section.problems.add(at, format!("`{key}`: {what}"));
                None
            }
        }
    }
}

/// A publication's name or alias, in the form in which it is compared.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('/') || text.chars().any(char::is_control) {
        return Err("write the name that stands in the address, without slashes".into());
    }
    if text.chars().count() > 255 {
        return Err("too long: at most 255 characters".into());
    }
    Ok(text.to_lowercase())
}

impl Access {
    fn read(
        section: &mut Section<'_>,
        allow_from: &[IpNet],
        from_anywhere: bool,
        reach: Reach,
    ) -> (Self, Vec<User>) {
        let problems = section.problems;
        let anonymous_at = section.at("anonymous").unwrap_or(section.at);
        let anonymous = section.flag("anonymous");
        let users_at = section.at("users");
        let like = "a list of users, as in [{ login = \"site\", password_hash = \"$argon2id$…\" }]";
        // Where it is anonymous, too: a typing mistake inside is reported all the same.
        let users: Vec<At<User>> = (section.sections("users", like).into_iter())
            .filter_map(|section| {
                let at = section.at;
                User::read(section).map(|value| At { at, value })
            })
            .collect();
        for (index, At { at, value: user }) in users.iter().enumerate() {
            let mut before = users[..index].iter();
            if before.any(|other| other.value.login == user.login) {
                problems.add(
                    *at,
                    format!(
                        "two users are called {:?}: take one of them out",
                        user.login
                    ),
                );
            }
        }
        let (senders, back_office): (Vec<_>, Vec<_>) =
            (users.into_iter().map(|user| user.value)).partition(|user| user.role == Role::Sender);
        if anonymous {
            if let Some(at) = users_at
                && (back_office.is_empty() || !senders.is_empty())
            {
                problems.add(
                    at,
                    "`users` and `anonymous = true` contradict each other: take one of them out, or leave only users with role = \"back_office\"",
                );
            }
            if let Some((whom, instead)) = reach.reached_by_anybody()
                && !bind(allow_from)
                && !from_anywhere
            {
                let (at, but, networks) = match everybody(allow_from) {
                    None => (anonymous_at, String::new(), "`allow_from`"),
                    Some(all) => (
                        section.at("allow_from").unwrap_or(anonymous_at),
                        format!(" (`allow_from` has \"{all}\", which is everybody)"),
                        "smaller networks",
                    ),
                };
                problems.add(
                    at,
                    format!(
                        "an anonymous publication would take orders from anybody who reaches {whom}{but}: give it `users` or \
                         {networks}, {instead}, or say `anonymous_from_anywhere = true`"
                    ),
                );
            }
            return (Self::Anonymous, back_office);
        }
        if senders.is_empty() && problems.is_empty() {
            problems.add(
                users_at.unwrap_or(section.at),
                "nobody could post to this publication: add `users` or `anonymous = true`",
            );
        }
        (Self::Users(senders), back_office)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::read;

    #[test]
    fn a_login_stands_once() {
        let user = "{ login = \"site\", password_hash = \"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$K6VLQaNzJpAaWCuPzFQ9Aw\" }";
        let here = Reach {
            listen: None,
            behind_proxies: false,
        };
        let text = format!("[[publication]]\nname = \"a\"\nusers = [{user}, {user}]\n");
        let report = read("aqua.toml".as_ref(), &text, |mut root| {
            let limits = Limits::read(root.section("limits"));
            Publication::read_all(&mut root, &limits, here)
        });
        assert!(report.expect_err("a fault").contains("two users"));
    }
}
