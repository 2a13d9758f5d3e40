//! One server, or several of which one takes writes: a primary and its standbys, in a URL as libpq has it.

use std::{
    cmp::Reverse,
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::Error;

/// How long one of several servers may take to say whether it takes writes: a node that is lost says nothing at all.
const ASK: Duration = Duration::from_secs(2);
/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(200);

/// How to connect to each of them; the one that took writes when it was last asked comes first.
#[derive(Clone)]
pub struct Servers(Vec<PgConnectOptions>);

impl Servers {
    /// The one to connect to now.
    #[must_use]
    pub fn first(&self) -> &PgConnectOptions {
        // Neither way to make one leaves it empty.
        &self.0[0]
    }

    /// Whether there is a choice.
    #[must_use]
    pub fn are_many(&self) -> bool {
        self.0.len() > 1
    }

    /// The same servers, connected to in another way.
    #[must_use]
    pub fn map(self, change: impl FnMut(PgConnectOptions) -> PgConnectOptions) -> Self {
        Self(self.0.into_iter().map(change).collect())
    }

    /// Puts the one that takes writes in front, and waits for one at most `patience`. Where there is none, or no
    /// choice, nothing changes: whoever connects will see.
    pub async fn put_primary_first(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.are_many() && !self.look_for_primary().await && Instant::now() < deadline {
            sleep(PAUSE).await;
        }
    }

    /// Asks all of them at once and puts the one that takes writes in front. `false`: none does.
    ///
    /// Of two that do, as when a primary outlived the software that watches over it, the one promoted last counts: what
    /// the other still takes will be thrown away.
    pub async fn look_for_primary(&mut self) -> bool {
        let mut asked = JoinSet::new();
        for (place, options) in self.0.iter().cloned().enumerate() {
            asked.spawn(async move {
                let timeline = timeout(ASK, timeline_of_writes(&options)).await;
                timeline.ok()?.ok()?.map(|timeline| (timeline, place))
            });
        }
        let primary = asked
            .join_all()
            .await
            .into_iter()
            .flatten()
            .max_by_key(|(timeline, place)| (*timeline, Reverse(*place)));
        if let Some((_, place)) = primary {
            self.0.swap(0, place);
        }
        primary.is_some()
    }
}

/// How to connect to a worker: as to the coordinator, elsewhere. Citus may know it by a host's name or by a socket's folder.
///
/// # Errors
/// [`Error::SocketToWorker`] where only the coordinator is reached through a socket.
pub fn to_worker(
    coordinator: &PgConnectOptions,
    host: &str,
    port: u16,
) -> Result<PgConnectOptions, Error> {
    let options = coordinator.clone().port(port);
    if host.starts_with('/') {
        Ok(options.socket(host))
    } else if options.get_socket().is_none() {
        Ok(options.host(host))
    } else {
        let worker = format!("{host}:{port}");
        Err(Error::SocketToWorker { worker })
    }
}

/// The timeline that a server writes; each promotion begins the next. `None`: it takes no writes.
async fn timeline_of_writes(options: &PgConnectOptions) -> Result<Option<i64>, sqlx::Error> {
    let mut connection: PgConnection = options.connect().await?;
    let timeline = sqlx::query_scalar(
        "SELECT CASE WHEN NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'
                     THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(timeline)
}

impl From<PgConnectOptions> for Servers {
    fn from(only: PgConnectOptions) -> Self {
        Self(vec![only])
    }
}

/// `postgres://user:password@host:port,host:port/database?parameters`; sqlx itself knows one host.
impl FromStr for Servers {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme))
            .ok_or_else(|| Error::Url("it does not start with postgres://".to_owned()))?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, hosts) = authority
            .rsplit_once('@')
            .map_or(("", authority), |(_, hosts)| {
                authority.split_at(authority.len() - hosts.len())
            });
        if tail
            .split('?')
            .next()
            .is_some_and(|path| path.contains('@'))
        {
            return Err(Error::Url(
                "there is an @ behind the host, so some character before it is not encoded"
                    .to_owned(),
            ));
        }
        let tail = known_parameters(tail)?;
        hosts
            .split(',')
            .map(|host| {
                format!("postgres://{user}{host}{tail}")
                    .parse()
                    .map_err(|error| match error {
                        sqlx::Error::Configuration(why) => Error::Url(why.to_string()),
                        other => Error::Url(other.to_string()),
                    })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }
}

/// What we and sqlx know of what libpq may be told in a URL. For others sqlx would say what they are set to, which may be a
/// password. What libpq is told to look for in several servers is what we look for anyway.
fn known_parameters(tail: &str) -> Result<String, Error> {
    const TARGET: &str = "target_session_attrs";
    const KNOWN: [&str; 18] = [
        "application_name",
        "dbname",
        "host",
        "hostaddr",
        "options",
        "password",
        "port",
        "ssl-ca",
        "ssl-cert",
        "ssl-key",
        "ssl-mode",
        "ssl-root-cert",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "statement-cache-capacity",
        "user",
    ];
    let Some((path, parameters)) = tail.split_once('?') else {
        return Ok(tail.to_owned());
    };
    let mut kept = Vec::new();
    for parameter in parameters.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (name, value) {
            (TARGET, "read-write" | "primary" | "any") => {}
            (TARGET, _) => {
                return Err(Error::Url(format!(
                    "orders are written, so {TARGET} can only be read-write"
                )));
            }
            (name, _) if KNOWN.contains(&name) || name.starts_with("options[") => {
                kept.push(parameter);
            }
            (name, _) => tracing::warn!(name, "unknown in the database's URL, and left out"),
        }
    }
    Ok(if kept.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", kept.join("&"))
    })
}

/// Where they are. sqlx's own options print the password.
impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(place)).finish()
    }
}

/// Where a server is, for the log.
#[must_use]
pub fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Result<String, String> {
        url.parse::<Servers>()
            .map(|servers| format!("{servers:?}"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_names_one_server_or_several() {
        assert_eq!(
            servers("postgres://u:p@one/db"),
            Ok(r#"["one:5432"]"#.into())
        );
        assert_eq!(
            servers(
                "postgresql://u:p%40,@one:1,[::1]:2,%2Ftmp%2Fthree/db?target_session_attrs=read-write&sslmode=disable"
            ),
            Ok(r#"["one:1", "[::1]:2", "/tmp/three"]"#.into())
        );
        let parsed: Servers = "postgres://u:p@one:1,two:2/db?user=w"
            .parse()
            .expect("servers");
        assert!(parsed.are_many());
        for options in &parsed.0 {
            assert_eq!(options.get_username(), "w");
            assert_eq!(options.get_database(), Some("db"));
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_its_password() {
        for url in [
            "mysql://u:secret@one/db",
            "postgres://u:secret@one:port/db",
            "postgres://u:secret@one,two:99999/db",
            "postgres://u:secret@one,two/db?target_session_attrs=standby",
        ] {
            let error = servers(url).expect_err(url);
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_worker_is_reached_as_the_coordinator_is() {
        let to = |url: &str, host: &str| {
            let servers: Servers = url.parse().expect("servers");
            let worker = to_worker(servers.first(), host, 5433);
            worker
                .map(|worker| place(&worker))
                .map_err(|error| error.to_string())
        };
        assert_eq!(to("postgres://u:p@one/db", "two"), Ok("two:5433".into()));
        assert_eq!(to("postgres://u:p@one/db", "/tmp/a"), Ok("/tmp/a".into()));
        let by_socket = "postgres:///db?host=/tmp/a";
        assert_eq!(to(by_socket, "/tmp/b"), Ok("/tmp/b".into()));
        let error = to(by_socket, "two").expect_err("a socket leads to no other host");
        assert!(error.contains("two:5433"), "{error}");
    }

    #[test]
    fn no_password_is_in_its_debug_text() {
        let text = servers("postgres://u:secret@one,two/db").expect("servers");
        assert!(!text.contains("secret"), "{text}");
    }
}
