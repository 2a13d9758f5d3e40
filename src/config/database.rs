use std::{path::PathBuf, time::Duration};

use super::{environment::Environment, file::Section, secret::Secret, times::Times};

/// A variable of the environment with a URL, and one that names a file with it.
type Variable<'v> = (&'static str, &'v Option<Secret>, &'v Option<PathBuf>);

/// A database's URL, which may hold a password: the environment's, else the file's.
pub(super) fn url(
    section: &mut Section<'_>,
    key: &'static str,
    variable: Variable<'_>,
) -> Option<Secret> {
    let own = section.text(key).filter(|url| !url.value.is_empty());
    let (name, url, file) = variable;
    let from_environment = match (url, file) {
        (Some(_), Some(_)) => {
            section.problems.add(
                0,
                format!("{name} and {name}_FILE are both in the environment: take one of them out"),
            );
            None
        }
        (None, Some(path)) => Secret::from_file(path)
            .map_err(|what| {
                let what = format!("{name}_FILE in the environment: {what}");
                section.problems.add(0, what);
            })
            .ok(),
        (url, None) => url.clone(),
    };
    from_environment.or_else(|| own.map(|url| Secret::new(url.value)))
}

/// `[database]`: where orders are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// A PostgreSQL server; overridden by `DATABASE_URL`. `None`: the private cluster under `data_dir`.
    pub url: Option<Secret>,
    /// The private cluster's folder; overridden by `AQUA_DATA_DIR`.
    pub data_dir: PathBuf,
    pub connections: u32,
    /// Memory for recently read clients; 0: none.
    pub client_cache_bytes: usize,
    /// Whether to use a server that forgets in a power cut (`fsync`, `synchronous_commit` or `full_page_writes` off).
    pub may_lose_orders: bool,
    /// PostgreSQL's own `statement_timeout`; shorter than `times.answer`, so that what was given up on never lands.
    pub statement_timeout: Duration,
    pub lock_timeout: Duration,
    /// How long to wait for the server when the service starts.
    pub start_timeout: Duration,
}

impl Database {
    pub(super) fn read(mut section: Section<'_>, times: &Times, environment: &Environment) -> Self {
        let variable = (
            "DATABASE_URL",
            &environment.database_url,
            &environment.database_url_file,
        );
        let url = url(&mut section, "url", variable);
        let data_dir = section.parsed("data_dir", |text| match text {
            "" => Err("write a folder, as in \"data/postgres\"".into()),
            folder => Ok(PathBuf::from(folder)),
        });
        let connections = section.number("connections", 2..=500);
        let client_cache_bytes = section.number("client_cache_bytes", 0..=1 << 32);
        let may_lose_orders = section.flag("may_lose_orders");
        let mut timeout = |key| {
            let at = section.at(key).unwrap_or(section.at);
            let time = section.seconds(key);
            // Otherwise a statement could land after its batch was answered 503 (contract §1).
            if time >= times.answer {
                section.problems.add(
                    at,
                    format!("`{key}` must be shorter than `answer` in [times]: what was given up on must not be stored later"),
                );
            }
            time
        };
        let statement_timeout = timeout("statement_timeout");
        let lock_timeout = timeout("lock_timeout");
        let start_timeout = section.seconds("start_timeout");
        section.finish(&[]);
        Self {
            url,
            data_dir: (environment.data_dir.clone())
                .or(data_dir)
                .unwrap_or_default(),
            connections,
            client_cache_bytes,
            may_lose_orders,
            statement_timeout,
            lock_timeout,
            start_timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::config::file::read;

    fn parse_with(text: &str, environment: &Environment) -> Result<Database, String> {
        read("aqua.toml".as_ref(), text, |mut root| {
            let times = Times::read(root.section("times"));
            Database::read(root.section("database"), &times, environment)
        })
    }

    #[test]
    fn a_databases_timeout_is_shorter_than_the_answers() {
        let text = "[times]\nanswer = 5\n[database]\nstatement_timeout = 4.5\nlock_timeout = 5\n";
        let report = parse_with(text, &Environment::default()).expect_err("a fault");
        assert!(report.starts_with("aqua.toml:5: `lock_timeout` must be shorter"));
    }

    #[test]
    fn its_url_may_lie_in_a_file_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file");
            path
        };
        let in_file = |path: &Path| Environment {
            database_url_file: Some(path.to_owned()),
            ..Environment::default()
        };
        let url = file("url", "postgres://somebody:hidden@db/aqua\n");
        let database = parse_with("", &in_file(&url)).expect("right");
        assert_eq!(
            database.url.expect("a URL").expose(),
            "postgres://somebody:hidden@db/aqua"
        );
        for (path, why) in [
            (folder.path().join("nothing"), "cannot read"),
            (file("empty", " \n"), "there is nothing on the first line"),
        ] {
            let report = parse_with("", &in_file(&path)).expect_err("a fault");
            assert!(
                report.contains("DATABASE_URL_FILE in the environment") && report.contains(why),
                "{report}"
            );
        }
        let both = Environment {
            database_url: Some(Secret::new("postgres://db/aqua")),
            ..in_file(&url)
        };
        let report = parse_with("", &both).expect_err("a fault");
        assert!(report.contains("both in the environment"), "{report}");
    }
}
