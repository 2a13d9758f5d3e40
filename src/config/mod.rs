//! File + environment -> one validated [`Config`]. A file here for each section of the settings: its struct, how it is
//! read, its tests. `config/default.toml` documents every setting, and its values are the defaults.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;

pub use self::{
    backup::Backup,
    database::Database,
    environment::Environment,
    journal::Journal,
    limits::Limits,
    log::Log,
    logins::Logins,
    operator::Operator,
    operator_user::{OperatorRole, OperatorUser},
    publication::{Access, FirstNumbers, Publication},
    schema::schema,
    secret::{Secret, SecretFile},
    target::{Credentials, Protocol, Target},
    times::Times,
    tls::Tls,
    token::TokenHash,
    traces::Traces,
    user::{Role, User},
    zone::zone,
};
use self::{
    file::Section,
    network::{Reach, networks, senders_listen},
};

mod backup;
mod database;
mod environment;
mod file;
mod journal;
mod limits;
mod log;
mod logins;
mod network;
mod operator;
mod operator_user;
mod publication;
mod schema;
mod secret;
mod target;
mod times;
mod tls;
mod token;
mod traces;
mod user;
mod zone;

/// Everything the service is told from outside, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Where senders connect. `listen`, overridden by `AQUA_LISTEN`.
    pub listen: SocketAddr,
    pub operator: Operator,
    pub log: Log,
    pub traces: Traces,
    pub database: Database,
    pub limits: Limits,
    pub times: Times,
    pub journal: Journal,
    pub logins: Logins,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where senders speak TLS with us.
    pub tls: Option<Tls>,
    pub backup: Backup,
    /// `[[publication]]`, at least one.
    pub publications: Vec<Publication>,
}

/// What a running service takes up of a file that was changed.
#[derive(Debug)]
pub struct Reloaded {
    pub config: Config,
    /// What else the file says otherwise now, which holds only after a restart.
    pub needs_restart: Vec<&'static str>,
}

/// Why there is no [`Config`]. Its text is for the operator: each fault with its file, its line and how to fix it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the settings file {}: {source}; name another with --config or AQUA_CONFIG", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0}")]
    Wrong(String),
}

impl Config {
    /// Reads and checks a settings file. Everything that is wrong with it is reported at once.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text, environment)
    }

    /// The same for the text of a file.
    pub fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Self, Error> {
        file::read(path, text, |root| Self::read(root, path, environment, None))
            .map_err(Error::Wrong)
    }

    /// Reads the file again for a service that runs with these settings: publications, with their users and targets, and
    /// operators are as it says now, all else is as it was at the start.
    pub fn reload(&self, environment: &Environment) -> Result<Reloaded, Error> {
        let path = &self.path;
        let text = fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: path.clone(),
            source,
        })?;
        let read = |root: Section<'_>| Self::read(root, path, environment, Some(self));
        let file = file::read(path, &text, read).map_err(Error::Wrong)?;
        let needs_restart = self.differs(&file);
        let mut config = self.clone();
        config.publications = file.publications;
        // Where nobody could log in at the start there is no console.
        if !self.operator.users.is_empty() {
            config.operator.users = file.operator.users;
        }
        Ok(Reloaded {
            config,
            needs_restart,
        })
    }

    /// What of `file` is not as here, but for what is taken up without a restart.
    fn differs(&self, file: &Self) -> Vec<&'static str> {
        let listens_as = |operator: &Operator| Operator {
            users: Vec::new(),
            ..operator.clone()
        };
        let has_console = |config: &Self| !config.operator.users.is_empty();
        let settings = [
            ("listen", self.listen != file.listen),
            (
                "trusted_proxies",
                self.trusted_proxies != file.trusted_proxies,
            ),
            ("tls", self.tls != file.tls),
            (
                "[operator]",
                listens_as(&self.operator) != listens_as(&file.operator),
            ),
            (
                "the first [[operator.user]]",
                !has_console(self) && has_console(file),
            ),
            ("[log]", self.log != file.log),
            ("[traces]", self.traces != file.traces),
            ("[database]", self.database != file.database),
            ("[limits]", self.limits != file.limits),
            ("[times]", self.times != file.times),
            ("[journal]", self.journal != file.journal),
            ("[logins]", self.logins != file.logins),
            ("[backup]", self.backup != file.backup),
        ];
        let differing = settings.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| name).collect()
    }

    /// A section that depends on others is read after them. What publications depend on is that of the `running` service, where
    /// there is one: it goes on listening where it does.
    fn read(
        mut root: Section<'_>,
        path: &Path,
        environment: &Environment,
        running: Option<&Self>,
    ) -> Self {
        let listen = senders_listen(&mut root, environment.listen.as_deref());
        let log = Log::read(root.section("log"));
        let traces = Traces::read(root.section("traces"), environment);
        let limits = Limits::read(root.section("limits"));
        let times = Times::read(root.section("times"));
        let journal = Journal::read(root.section("journal"));
        let logins = Logins::read(root.section("logins"));
        let trusted_proxies = networks(&mut root, "trusted_proxies");
        let tls = Tls::read(&mut root);
        let database = Database::read(root.section("database"), &times, environment);
        let backup = Backup::read(root.section("backup"), environment);
        let reach = match running {
            None => Reach {
                listen,
                behind_proxies: !trusted_proxies.is_empty(),
            },
            Some(running) => Reach {
                listen: Some(running.listen),
                behind_proxies: !running.trusted_proxies.is_empty(),
            },
        };
        let limits_in_use = running.map_or(&limits, |running| &running.limits);
        let publications = Publication::read_all(&mut root, limits_in_use, reach);
        let operator = Operator::read(
            root.section("operator"),
            &database,
            &publications,
            environment,
        );
        root.finish(&[("publications", "write [[publication]], one block for each")]);
        Self {
            path: path.to_owned(),
            listen: listen.unwrap_or(([127, 0, 0, 1], 0).into()),
            operator,
            log,
            traces,
            database,
            limits,
            times,
            journal,
            logins,
            trusted_proxies,
            tls,
            backup,
            publications,
        }
    }

    /// The publication of that name or alias, whatever its case.
    #[must_use]
    pub fn publication(&self, name: &str) -> Option<&Publication> {
        let name = name.to_lowercase();
        self.publications
            .iter()
            .find(|known| known.name == name || known.aliases.contains(&name))
    }

    /// What is allowed, and should be known all the same: said at the start, by `/readyz` and by `doctor`.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let has_logins = |publication: &Publication| {
            matches!(publication.access, Access::Users(_)) || !publication.back_office.is_empty()
        };
        if self.tls.is_none()
            && !self.listen.ip().is_loopback()
            && self.publications.iter().any(has_logins)
        {
            notes.push(format!(
                "passwords come to {} in plain text: set `tls`, or see to it that only a proxy with TLS reaches that address",
                self.listen
            ));
        }
        for tls in [&self.tls, &self.operator.tls].into_iter().flatten() {
            if !tls.key_is_open() {
                continue;
            }
            notes.push(format!(
                "the key {} may be read by others than its owner: chmod 600 {0}",
                tls.key.display()
            ));
        }
        if self.operator.listen.is_none() && !self.operator.users.is_empty() {
            notes.push(
                "operators of the console are configured, and there is no console: `listen` in [operator] is \"off\"".into(),
            );
        }
        let has_console = self.operator.listen.is_some() && !self.operator.users.is_empty();
        if has_console && self.database.url.is_some() && self.operator.database_url.is_none() {
            notes.push(
                "the console uses the service's own role at the database, which may do anything to the orders: give it a role of its \
                 own with `database_url` in [operator] (AQUA_CONSOLE_DATABASE_URL)"
                    .into(),
            );
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ANONYMOUS: &str = "[[publication]]\nname = \"demo\"\nanonymous = true\n";
    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$K6VLQaNzJpAaWCuPzFQ9Aw";

    fn parse_with(text: &str, environment: &Environment) -> Result<Config, String> {
        Config::parse(Path::new("aqua.toml"), text, environment).map_err(|error| error.to_string())
    }

    fn parse(text: &str) -> Result<Config, String> {
        parse_with(text, &Environment::default())
    }

    /// The one report of a file that is wrong.
    fn report(text: &str) -> String {
        parse(text).expect_err("a fault")
    }

    #[test]
    fn the_default_file_says_what_holds_where_nothing_is_said() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/default.toml");
        let file = Config::load(&path, &Environment::default()).expect("the default file");
        let minimal = parse(ANONYMOUS).expect("a minimal file");
        assert_eq!(file.listen, minimal.listen);
        assert_eq!(file.operator, minimal.operator);
        assert_eq!(file.log, minimal.log);
        assert_eq!(file.limits, minimal.limits);
        assert_eq!(file.times, minimal.times);
        assert_eq!(file.logins, minimal.logins);
        assert_eq!(file.trusted_proxies, minimal.trusted_proxies);
        assert_eq!(file.tls, minimal.tls);
        assert_eq!(file.backup, minimal.backup);
        assert_eq!(
            format!("{:?}", file.database),
            format!("{:?}", minimal.database)
        );
        assert_eq!(file.publications[0].name, "demodelivery");
    }

    #[test]
    fn the_issues_minimal_file_is_enough() {
        let config = parse(
            "listen = \"127.0.0.1:8888\"\n[[publication]]\nname = \"demodelivery\"\ntimezone = \"Europe/Moscow\"\nanonymous = true\n",
        )
        .expect("a config");
        assert_eq!(config.listen, ([127, 0, 0, 1], 8888).into());
        assert!(matches!(config.publications[0].access, Access::Anonymous));
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_line_and_mend() {
        let text = format!(
            "listen = \"localhost\"\nlimit = 1\n[[publication]]\nname = \"Demo\"\ntimezone = \"Europe/Moskow\"\n\
             users = [{{ login = \"site\" }}]\n{ANONYMOUS}[times]\nanswer = \"fast\"\n"
        );
        let report = report(&text);
        let lines: Vec<&str> = report.lines().collect();
        let expected = [
            ("aqua.toml:1: `listen`:", "127.0.0.1:8888"),
            (
                "aqua.toml:2: unknown setting `limit`",
                "did you mean `limits`?",
            ),
            (
                "aqua.toml:5: `timezone`:",
                "did you mean \"Europe/Moscow\"?",
            ),
            (
                "aqua.toml:6: a user without `password_hash`",
                "aqua-orders hash-password",
            ),
            ("aqua.toml:8: two publications are called", "rename one"),
            ("aqua.toml:11: `answer` must be seconds", "not a text"),
        ];
        assert_eq!(lines.len(), expected.len(), "{report}");
        for (line, (start, end)) in lines.iter().zip(expected) {
            assert!(line.starts_with(start) && line.contains(end), "{line}");
        }
    }

    #[test]
    fn what_is_no_toml_has_its_line() {
        assert!(report("listen = \n").starts_with("aqua.toml:1: this is not TOML"));
        assert!(report("a = 1\nb = [\n").contains("aqua.toml:"));
    }

    #[test]
    fn no_publication_or_nobody_who_may_post_is_refused() {
        assert!(report("").contains("no publication"));
        assert!(report("[[publication]]\nname = \"a\"\n").contains("nobody could post"));
        assert!(
            report("[[publication]]\nname = \"a\"\nusers = []\n").contains("nobody could post")
        );
        assert!(report("[[publication]]\nanonymous = true\n").contains("without `name`"));
        assert!(report("[publication]\nname = \"a\"\n").contains("[[publication]]"));
    }

    #[test]
    fn an_anonymous_publication_is_refused_on_a_non_loopback_address_unless_the_config_says_so() {
        let open = format!("listen = \"0.0.0.0:8888\"\n{ANONYMOUS}");
        assert!(report(&open).starts_with("aqua.toml:4: an anonymous publication"));
        parse(&format!(
            "{open}allow_from = [\"10.0.0.0/8\", \"192.0.2.7\"]\n"
        ))
        .expect("networks");
        parse(&format!("{open}anonymous_from_anywhere = true\n")).expect("said in so many words");
        let environment = Environment {
            listen: Some("[::]:8888".into()),
            ..Environment::default()
        };
        assert!(
            parse_with(ANONYMOUS, &environment).is_err_and(|report| report.contains("[::]:8888"))
        );
    }

    #[test]
    fn a_console_without_a_role_of_its_own_is_allowed_and_noted() {
        let text = |operator: &str, database: &str| {
            format!(
                "{ANONYMOUS}[operator]\n{operator}[[operator.user]]\nlogin = \"anna\"\npassword_hash = \"{HASH}\"\n\
                 role = \"admin\"\n[database]\n{database}"
            )
        };
        let notes = |operator: &str, database: &str| {
            parse(&text(operator, database)).expect("right").notes()
        };
        let (own, url) = (
            "database_url = \"postgres://aqua_console@db/aqua\"\n",
            "url = \"postgres://aqua@db/aqua\"\n",
        );
        let said = notes("", url);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("`database_url`"), "{said:?}");
        assert_eq!(notes(own, url), [""; 0]);
        assert_eq!(notes("", ""), [""; 0], "the private cluster has one");

        let report = report(&text(own, ""));
        assert!(
            report.starts_with("aqua.toml:5: `database_url`"),
            "{report}"
        );
        let environment = Environment {
            console_database_url: Some(Secret::new("postgres://other:hidden@db/aqua")),
            ..Environment::default()
        };
        let config = parse_with(&text(own, url), &environment).expect("right");
        let used = config.operator.database_url.expect("a URL");
        assert_eq!(used.expose(), "postgres://other:hidden@db/aqua");
    }

    #[test]
    fn passwords_in_plain_text_and_a_key_for_everybody_are_allowed_and_noted() {
        let users = format!(
            "[[publication]]\nname = \"a\"\nusers = [{{ login = \"site\", password_hash = \"{HASH}\" }}]\n"
        );
        let notes = |text: &str| parse(text).expect("right").notes();
        assert_eq!(notes(&users), [""; 0]);
        assert_eq!(notes(ANONYMOUS), [""; 0]);
        let public = "listen = \"192.0.2.7:8888\"\n";
        let anonymous = format!("{public}{ANONYMOUS}anonymous_from_anywhere = true\n");
        assert_eq!(notes(&anonymous), [""; 0], "no passwords");
        let said = notes(&format!("{public}{users}"));
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("192.0.2.7:8888 in plain text"), "{said:?}");

        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key.pem");
        fs::write(&key, "").expect("a file");
        let tls = format!("tls = {{ cert = \"cert.pem\", key = {key:?} }}\n{public}{users}");
        for (mode, noted) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o644, 1), (0o604, 1)] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("its mode");
            let said = notes(&tls);
            assert_eq!(said.len(), noted, "{mode:o}: {said:?}");
            assert!(said.iter().all(|note| note.contains("key.pem")));
        }
    }

    /// What a service that runs with `before` takes up when its file is changed to `after`.
    fn reload(before: &str, after: &str) -> Result<Reloaded, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("aqua.toml");
        fs::write(&path, before).expect("a file");
        let running = Config::load(&path, &Environment::default()).expect("settings");
        fs::write(&path, after).expect("a file");
        let reloaded = running.reload(&Environment::default());
        reloaded.map_err(|error| error.to_string())
    }

    #[test]
    fn a_reload_takes_up_publications_and_operators_and_names_what_needs_a_restart() {
        let operator = |login: &str| {
            format!(
                "[[operator.user]]\nlogin = \"{login}\"\nrole = \"admin\"\npassword_hash = \"{HASH}\"\n"
            )
        };
        let before = format!("{ANONYMOUS}{}", operator("anna"));
        let more = format!(
            "{ANONYMOUS}[[publication]]\nname = \"two\"\nusers = [{{ login = \"site\", password_hash = \"{HASH}\" }}]\n{}",
            operator("boris")
        );
        let Reloaded {
            config,
            needs_restart,
        } = reload(&before, &more).expect("right");
        assert_eq!(needs_restart, [""; 0]);
        assert_eq!(config.publications[1].name, "two");
        assert_eq!(config.operator.users[0].login, "boris");
        assert_eq!(config.operator.users[0].publications, ["demo", "two"]);

        let changed = format!(
            "listen = \"127.0.0.1:1\"\n{ANONYMOUS}[limits]\norder_items = 7\n[operator]\nlisten = \"off\"\n[database]\nurl = \"postgres://a/b\"\n"
        );
        let Reloaded {
            config,
            needs_restart,
        } = reload(ANONYMOUS, &changed).expect("right");
        assert_eq!(
            needs_restart,
            ["listen", "[operator]", "[database]", "[limits]"]
        );
        assert_eq!(config.listen.port(), 8888);
        assert_eq!(config.publications[0].rules.max_order_items, 500);
        assert!(config.operator.listen.is_some() && config.database.url.is_none());

        let Reloaded {
            config,
            needs_restart,
        } = reload(ANONYMOUS, &before).expect("right");
        assert_eq!(needs_restart, ["the first [[operator.user]]"]);
        assert!(config.operator.users.is_empty());
    }

    #[test]
    fn a_reload_is_refused_by_where_the_service_listens_not_by_where_the_file_says() {
        let users = format!("users = [{{ login = \"site\", password_hash = \"{HASH}\" }}]\n");
        let before =
            format!("listen = \"0.0.0.0:8888\"\n[[publication]]\nname = \"demo\"\n{users}");
        let report = reload(&before, ANONYMOUS).expect_err("an open door");
        assert!(report.contains("0.0.0.0:8888"), "{report}");
        assert!(reload(&before, "").is_err_and(|report| report.contains("no publication")));
    }

    #[test]
    fn behind_a_trusted_proxy_loopback_is_anywhere() {
        let proxied = format!("trusted_proxies = [\"127.0.0.1\"]\n{ANONYMOUS}");
        let report = report(&proxied);
        assert!(
            report.starts_with("aqua.toml:4: an anonymous publication"),
            "{report}"
        );
        assert!(report.contains("one of `trusted_proxies`"), "{report}");
        let answers_stored = |text: &str| {
            let config = parse(text).expect("a config");
            config.publications[0].rules.answers_stored
        };
        let said = format!("{proxied}anonymous_from_anywhere = true\n");
        assert!(!answers_stored(&said));
        let networks = format!("{proxied}allow_from = [\"10.0.0.0/8\"]\n");
        assert!(answers_stored(&networks));
        assert!(answers_stored(ANONYMOUS));
    }

    #[test]
    fn a_network_that_is_everybody_binds_nobody() {
        for everybody in ["0.0.0.0/0", "::/0", "10.0.0.0/8\", \"0.0.0.0/0"] {
            let networks = format!("{ANONYMOUS}allow_from = [\"{everybody}\"]\n");
            for beyond in [
                "listen = \"0.0.0.0:8888\"",
                "trusted_proxies = [\"127.0.0.1\"]",
            ] {
                let open = format!("{beyond}\n{networks}");
                let report = report(&open);
                assert!(
                    report.starts_with("aqua.toml:5: an anonymous publication"),
                    "{report}"
                );
                assert!(report.contains("/0\", which is everybody"), "{report}");
                assert!(report.contains("smaller networks"), "{report}");
                let said = parse(&format!("{open}anonymous_from_anywhere = true\n"));
                let publication = &said.expect("said in so many words").publications[0];
                assert!(!publication.rules.answers_stored);
            }
            let here = &parse(&networks).expect("loopback").publications[0];
            assert!(!here.rules.answers_stored && !here.is_bound_to_networks());
        }
        let users = format!(
            "listen = \"0.0.0.0:8888\"\n[[publication]]\nname = \"a\"\nallow_from = [\"0.0.0.0/0\"]\n\
             users = [{{ login = \"site\", password_hash = \"{HASH}\" }}]\n"
        );
        let known = &parse(&users).expect("users").publications[0];
        assert!(known.rules.answers_stored);
    }

    #[test]
    fn what_is_said_to_be_open_from_anywhere_shows_nothing_stored_wherever_it_listens() {
        let answers_stored = |more: &str| {
            let config = parse(&format!("{ANONYMOUS}{more}")).expect("a config");
            config.publications[0].rules.answers_stored
        };
        assert!(answers_stored(""));
        assert!(!answers_stored("anonymous_from_anywhere = true\n"));
        assert!(answers_stored(
            "anonymous_from_anywhere = true\nanswers_stored = true\n"
        ));
        assert!(answers_stored(
            "anonymous_from_anywhere = true\nallow_from = [\"10.0.0.0/8\"]\n"
        ));
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = Environment {
            database_url: Some(Secret::new("postgres://somebody:hidden@db/aqua")),
            database_url_file: None,
            listen: Some("127.0.0.1:9999".into()),
            operator_listen: Some("off".into()),
            data_dir: Some("/srv/orders".into()),
            backup_folder: Some("/srv/backups".into()),
            otlp_endpoint: Some("http://127.0.0.1:4318/v1/traces".into()),
            ..Environment::default()
        };
        let config = parse_with(ANONYMOUS, &environment).expect("a config");
        let endpoint = config.traces.endpoint.as_deref();
        assert_eq!(endpoint, Some("http://127.0.0.1:4318/v1/traces"));
        assert_eq!(config.listen, ([127, 0, 0, 1], 9999).into());
        assert_eq!(config.operator.listen, None);
        assert!(config.database.url.is_some());
        assert_eq!(config.database.data_dir, Path::new("/srv/orders"));
        assert_eq!(config.backup.folder, Some("/srv/backups".into()));
        assert!(!format!("{config:?}").contains("hidden"));
    }

    #[test]
    fn a_publication_is_found_by_name_or_alias_whatever_the_case() {
        let config =
            parse("[[publication]]\nname = \"Доставка\"\naliases = [\"Web\"]\nanonymous = true\n")
                .expect("a config");
        assert_eq!(
            config.publication("дОСТАВКА").map(|p| p.name.as_str()),
            Some("доставка")
        );
        assert!(config.publication("wEB").is_some());
        assert!(config.publication("other").is_none());
    }
}
