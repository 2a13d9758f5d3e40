use std::{net::IpAddr, path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use http::{
    Uri,
    uri::{PathAndQuery, Scheme},
};
use ipnet::IpNet;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{
    file::{Section, closest},
    network::networks,
    secret::SecretFile,
};
use crate::order::{datetime, maker::Maker, zone::Zone};

/// Of a publication's `[[publication.target]]`: where its orders are sent (contract §8.3).
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name among the publication's targets.
    pub name: String,
    pub protocol: Protocol,
    pub url: Uri,
    /// Whom the target knows us as; `None` where it asks nobody.
    pub credentials: Option<Credentials>,
    /// Whose changes are sent.
    pub takes: Vec<Maker>,
    /// Where credentials may go over plain HTTP.
    pub plain_http_to: Vec<IpNet>,
    /// PEM of the authorities that vouch for the target, instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// From the connection to the answer's last byte.
    pub timeout: Duration,
    /// What was changed before is not sent; `None`: all is.
    pub since: Option<DateTime<Utc>>,
}

/// What a target speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// 1C's own `getOrdersURL`.
    OneC,
    /// The import call of the site or app.
    Aqua,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    Basic { user: String, password: SecretFile },
    Bearer(SecretFile),
}

impl Credentials {
    /// Where the secret is.
    #[must_use]
    pub fn file(&self) -> &SecretFile {
        let (Self::Basic { password: file, .. } | Self::Bearer(file)) = self;
        file
    }
}

impl Protocol {
    const ALL: [Self; 2] = [Self::OneC, Self::Aqua];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneC => "one_c",
            Self::Aqua => "aqua",
        }
    }

    /// Whose changes are the target's own: what it brought about is never sent back to it.
    #[must_use]
    pub fn own(self) -> Maker {
        match self {
            Self::OneC => Maker::BackOffice,
            Self::Aqua => Maker::Sender,
        }
    }
}

/// The longest name of a target: it stands in keys and labels.
const LONGEST_NAME: usize = 64;
/// Unless the settings say otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_TIMEOUT: u32 = 300;

impl Target {
    /// Every `[[publication.target]]` of a publication.
    pub(super) fn read_all(publication: &mut Section<'_>, timezone: Zone) -> Vec<Self> {
        let like = "written as [[publication.target]], one block for each";
        let mut targets: Vec<Self> = Vec::new();
        for section in publication.sections("target", like) {
            let at = section.at;
            if let Some(target) = Self::read(section, timezone) {
                if targets.iter().any(|known| known.name == target.name) {
                    let what = format!("two targets are called {:?}: rename one", target.name);
                    publication.problems.add(at, what);
                }
                targets.push(target);
            }
        }
        targets
    }

    fn read(mut section: Section<'_>, timezone: Zone) -> Option<Self> {
        let (at, problems) = (section.at, section.problems);
        let name = section.parsed("name", name);
        let protocol = section.word(
            "protocol",
            &Protocol::ALL.map(|protocol| (protocol.as_str(), protocol)),
            "write \"one_c\" (a 1C) or \"aqua\" (the site or app)",
        );
        let url = section.parsed("url", url);
        for key in ["name", "protocol", "url"] {
            if section.at(key).is_none() {
                problems.add(at, format!("a target without `{key}`"));
            }
        }
        let user = section.parsed("user", |text| {
            if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
                Err(
                    "write a name without colons: HTTP Basic ends the login at the first colon"
                        .into(),
                )
            } else {
                Ok(text.to_owned())
            }
        });
        let secret = section.parsed("secret_file", |text| {
            SecretFile::open(problems.beside(text))
        });
        let credentials = credentials(&mut section, protocol, user, secret);
        let takes = takes(&mut section, protocol);
        let plain_http_to = match section.at("plain_http_to") {
            Some(_) => networks(&mut section, "plain_http_to"),
            None => url.as_ref().and_then(near_address).into_iter().collect(),
        };
        let ca_file = section.parsed("ca_file", |text| {
            let file = problems.beside(text);
            if file.is_file() {
                Ok(file)
            } else {
                Err(format!("there is no file {}", file.display()))
            }
        });
        let timeout = match section.at("timeout") {
            Some(_) => section.seconds_up_to("timeout", LONGEST_TIMEOUT),
            None => TIMEOUT,
        };
        let since = section.parsed("since", |text| {
            datetime::parse(text, timezone)
                .map_err(|_| "write a date and a time, as in \"2026-11-26 12:00\"".to_owned())
        });
        section.finish(&[
            ("password", "write `secret_file`, a file with the password"),
            ("secret", "write `secret_file`, a file with the secret"),
            ("token", "write `secret_file`, a file with the token"),
            ("login", "write `user`"),
        ]);
        let url = url?;
        let is_plain = url.scheme() == Some(&Scheme::HTTP);
        if is_plain && credentials.is_some() && plain_http_to.is_empty() {
            problems.add(
                at,
                "credentials would go over plain HTTP to wherever the name leads: write https://, or name the networks where \
                 that may be, as in `plain_http_to = [\"10.0.0.0/8\"]`",
            );
        }
        Some(Self {
            name: name?,
            protocol: protocol?,
            url,
            credentials,
            takes,
            plain_http_to,
            ca_file,
            timeout,
            since,
        })
    }

    /// The URL's host, without the brackets of IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        host(&self.url)
    }

    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.url.scheme() != Some(&Scheme::HTTPS)
    }
}

fn host(url: &Uri) -> &str {
    url.host().unwrap_or_default().trim_matches(['[', ']'])
}

fn name(text: &str) -> Result<String, String> {
    let is_usual = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(is_usual) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "write up to {LONGEST_NAME} Latin letters, digits, dots, dashes"
        ))
    }
}

/// A publication may have a Cyrillic name, and people write it so.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

fn url(text: &str) -> Result<Uri, String> {
    let like = "write an address as in \"https://1c.example.ru/base/hs/AquaDeliveri/getOrdersURL\"";
    let host_and_more = text.split_once("://").map_or(text, |(_, behind)| behind);
    let authority = host_and_more.split('/').next().unwrap_or_default();
    if !authority.is_ascii() {
        return Err("the host's name must be in Latin letters (xn--…)".into());
    }
    let escaped = utf8_percent_encode(text, ESCAPED).to_string();
    let url: Uri = escaped.parse().map_err(|_| like.to_owned())?;
    let authority = url.authority().ok_or(like)?;
    if ![Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&url.scheme()) {
        return Err(like.into());
    }
    if host(&url).is_empty() {
        return Err(like.into());
    }
    if authority.as_str().contains('@') {
        return Err("a URL is no place for credentials: write `user` and `secret_file`".into());
    }
    if url.path_and_query().and_then(PathAndQuery::query).is_some() || text.contains('#') {
        return Err("write it without `?…` and `#…`: a URL is no place for secrets".into());
    }
    Ok(url)
}

/// The URL's own address where it is one of a private network: the settings name it then.
fn near_address(url: &Uri) -> Option<IpNet> {
    let address: IpAddr = host(url).parse().ok()?;
    let is_near = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    };
    is_near.then(|| address.into())
}

fn credentials(
    section: &mut Section<'_>,
    protocol: Option<Protocol>,
    user: Option<String>,
    secret: Option<SecretFile>,
) -> Option<Credentials> {
    let (at, problems) = (section.at, section.problems);
    let (user_at, secret_at) = (section.at("user"), section.at("secret_file"));
    match (protocol?, user_at, secret_at) {
        (Protocol::OneC, Some(_), Some(_)) => Some(Credentials::Basic {
            user: user?,
            password: secret?,
        }),
        (Protocol::OneC, None, None) => None,
        (Protocol::OneC, Some(at), None) => {
            let what = "`user` without `secret_file`: name the file with the password of that user";
            problems.add(at, what);
            None
        }
        (Protocol::OneC, None, Some(at)) => {
            problems.add(
                at,
                "`secret_file` without `user`: write whose password it is",
            );
            None
        }
        (Protocol::Aqua, user_at, secret_at) => {
            if let Some(at) = user_at {
                let what = "`user`: the import call knows us by its token: take `user` out";
                problems.add(at, what);
            }
            if secret_at.is_none() {
                problems.add(
                    at,
                    "a target \"aqua\" without `secret_file`: name the file with the token of the site's import call",
                );
            }
            secret.map(Credentials::Bearer)
        }
    }
}

fn takes(section: &mut Section<'_>, protocol: Option<Protocol>) -> Vec<Maker> {
    let others = |protocol: Protocol| {
        let makers = Maker::ALL.into_iter();
        makers.filter(move |maker| *maker != protocol.own())
    };
    let written = section.texts("takes");
    let Some(protocol) = protocol else {
        return Vec::new();
    };
    let Some(at) = section.at("takes") else {
        return others(protocol).collect();
    };
    let mut takes = Vec::new();
    for text in written {
        let maker = Maker::parse(text.value);
        match maker {
            Some(maker) if maker == protocol.own() => section.problems.add(
                text.at,
                format!(
                    "`takes`: what the {} changed is what a target \"{}\" said itself: take it out",
                    maker.as_str(),
                    protocol.as_str()
                ),
            ),
            Some(maker) if !takes.contains(&maker) => takes.push(maker),
            Some(_) => {}
            None => {
                let known = Maker::ALL.map(Maker::as_str);
                let hint = match closest(text.value, known) {
                    Some(known) => format!("did you mean {known:?}?"),
                    None => format!("there are: {}", known.join(", ")),
                };
                let what = format!("`takes`: nobody is called {:?}; {hint}", text.value);
                section.problems.add(text.at, what);
            }
        }
    }
    if takes.is_empty() && section.problems.is_empty() {
        section.problems.add(
            at,
            "`takes` is empty, and nothing would be sent: take it out for the usual",
        );
    }
    takes
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::file::read;

    const TARGET: &str =
        "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://10.0.0.5/Водовоз/hs/a\"\n";

    fn targets(blocks: &str) -> Result<Vec<Target>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("secret"), "s-42\n").expect("a file");
        let path = folder.path().join("aqua.toml");
        read(&path, blocks, |mut root| {
            Target::read_all(&mut root, crate::config::zone::usual())
        })
        .map_err(|report| report.replace(&folder.path().display().to_string(), ""))
    }

    fn target(lines: &str) -> Result<Target, String> {
        targets(&format!("[[target]]\n{lines}")).map(|mut targets| targets.remove(0))
    }

    #[test]
    fn the_contracts_example_is_enough() {
        let found = target(&format!(
            "{TARGET}user = \"сайт\"\nsecret_file = \"secret\"\ntakes = [\"sender\", \"operator\"]\n"
        ));
        let found = found.expect("right");
        assert_eq!(
            found.url,
            "http://10.0.0.5/%D0%92%D0%BE%D0%B4%D0%BE%D0%B2%D0%BE%D0%B7/hs/a"
        );
        assert_eq!(found.takes, [Maker::Sender, Maker::Operator]);
        assert_eq!(found.plain_http_to, ["10.0.0.5/32".parse().expect("one")]);
        assert_eq!(found.timeout, TIMEOUT);
        assert!(
            !format!("{found:?}").contains("s-42"),
            "a secret is printed"
        );
        let Some(Credentials::Basic { user, password }) = found.credentials else {
            panic!("{:?}", found.credentials)
        };
        assert_eq!((&*user, password.at_start().expose()), ("сайт", "s-42"));
    }

    #[test]
    fn a_1c_may_ask_nobody_and_the_app_asks_for_a_token() {
        let found = target(TARGET).expect("right");
        assert_eq!(found.credentials, None);
        assert_eq!(found.takes, [Maker::Sender, Maker::Operator]);
        let app =
            "name = \"app\"\nprotocol = \"aqua\"\nurl = \"https://app.example/v1/order/import/\"\n";
        let found = target(&format!("{app}secret_file = \"secret\"\n")).expect("right");
        let Some(Credentials::Bearer(token)) = found.credentials else {
            panic!("{:?}", found.credentials)
        };
        assert_eq!(token.at_start().expose(), "s-42");
        assert_eq!(found.takes, [Maker::Operator, Maker::BackOffice]);
        assert!(target(app).is_err_and(|report| report.contains("`secret_file`")));
    }

    #[test]
    fn credentials_go_over_plain_http_only_where_the_settings_name_the_network() {
        let named = "name = \"1c\"\nprotocol = \"one_c\"\nuser = \"a\"\nsecret_file = \"secret\"\n";
        for (url, more, is_right) in [
            ("https://1c.example/a", "", true),
            ("http://127.0.0.1:80/a", "", true),
            ("http://[::1]/a", "", true),
            ("http://[fd00::1]:8080/a", "", true),
            ("http://192.168.1.2/a", "", true),
            ("http://1c.example/a", "", false),
            ("http://192.0.2.7/a", "", false),
            (
                "http://1c.example/a",
                "plain_http_to = [\"10.0.0.0/8\"]\n",
                true,
            ),
            ("http://10.0.0.5/a", "plain_http_to = []\n", false),
        ] {
            let found = target(&format!("{named}url = \"{url}\"\n{more}"));
            assert_eq!(found.is_ok(), is_right, "{url} {more} {found:?}");
            if let Err(report) = found {
                assert!(report.contains("over plain HTTP"), "{report}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_target_is_said_with_how_to_fix_it() {
        let with = |line: &str| format!("{TARGET}{line}\n");
        for (lines, says) in [
            ("name = \"1c\"\n".to_owned(), "without `protocol`"),
            ("protocol = \"one_c\"\n".to_owned(), "without `url`"),
            (TARGET.replace("1c", "1с"), "Latin letters"),
            (TARGET.replace("one_c", "1c"), "\"one_c\" (a 1C)"),
            (TARGET.replace("http:", "ftp:"), "https://"),
            (
                TARGET.replace("10.0.0.5", "a:s-42@10.0.0.5"),
                "`secret_file`",
            ),
            (TARGET.replace("hs/a", "hs/a?token=s-42"), "without `?…`"),
            (TARGET.replace("10.0.0.5", "сервер.рф"), "xn--"),
            (with("user = \"a\""), "`user` without `secret_file`"),
            (with("secret_file = \"secret\""), "without `user`"),
            (with("secret_file = \"nowhere\""), "cannot read"),
            (with("password = \"s-42\""), "write `secret_file`"),
            (with("takes = [\"back_office\"]"), "said itself"),
            (with("takes = [\"senders\"]"), "did you mean \"sender\"?"),
            (with("takes = []"), "nothing would be sent"),
            (with("timeout = 0"), "seconds"),
            (with("since = \"soon\""), "a date and a time"),
            (with("ca_file = \"nowhere\""), "there is no file"),
            (with("urls = 1"), "did you mean `url`?"),
        ] {
            let report = target(&lines).expect_err("a fault");
            assert!(report.contains(says), "{lines}: {report}");
            assert!(!report.contains("s-42"), "{report}");
        }
        let twice = format!("[[target]]\n{TARGET}[[target]]\n{TARGET}");
        let report = targets(&twice).expect_err("a fault");
        assert!(report.contains(":5: two targets are called"), "{report}");
    }
}
