//! What can be wrong with the database at start; each text says what, and how to fix it.

use std::{io, path::PathBuf, time::Duration};

use sqlx::migrate::MigrateError;

/// Why there is no database to work with. The texts are for the operator: the service's last line when it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `DATABASE_URL` (or `[database] url`) is no PostgreSQL URL. The URL itself is kept out: it may hold a password.
    #[error(
        "the database's URL cannot be used: {0}; write postgres://user:password@host:5432/database, with special \
         characters in the password percent-encoded"
    )]
    Url(String),

    /// Workers are reached as the coordinator is, and a socket leads to no other host.
    #[error(
        "the database's URL leads to the Citus coordinator through a Unix socket, and its worker {worker} is another host: \
         name the coordinator's host in the URL, with a user and a password that the workers know, too"
    )]
    SocketToWorker {
        /// Its host and port, as Citus has them.
        worker: String,
    },

    /// No server programs of PostgreSQL on this machine, or only ones that are too old.
    #[error(
        "PostgreSQL's server programs (initdb and postgres, {oldest} or newer) were not found; looked in {looked}. \
         Install them:\n  Debian, Ubuntu: apt-get install --no-install-recommends postgresql\n  \
         Fedora: dnf install postgresql-server\n  Alpine: apk add postgresql\n  macOS: brew install postgresql@17\n\
         or name their folder in AQUA_POSTGRES_BIN, or name a running server in DATABASE_URL"
    )]
    NoBinaries {
        /// The oldest major version that will do.
        oldest: u32,
        /// The folders that were looked at, and what was wrong with those that came near.
        looked: String,
    },

    /// The data was made by another major version than the programs at hand.
    #[error(
        "the data in {data_dir} belongs to PostgreSQL {data}, but this machine has {found}: install PostgreSQL {data} \
         beside it (Debian, Ubuntu: apt-get install postgresql-{data}) or name its folder in AQUA_POSTGRES_BIN; to move \
         to a newer version, use pg_upgrade with the service stopped"
    )]
    WrongMajor {
        data_dir: PathBuf,
        /// Its major version.
        data: u32,
        /// What was found instead.
        found: String,
    },

    /// Another service works on the same folder.
    #[error(
        "{data_dir} is in use by another aqua-orders{}: stop that one first, or give this one its own folder \
         ([database] data_dir)", holder(.pid.as_deref())
    )]
    InUse {
        data_dir: PathBuf,
        /// The other's process id, as far as known.
        pid: Option<String>,
    },

    /// Started as root, and there is nobody to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has no user `postgres`: create one (useradd --system \
         postgres), or start the service as an ordinary user"
    )]
    NoAccount,

    /// The folder belongs to a different user, who alone may run PostgreSQL on it.
    #[error(
        "{data_dir} belongs to the user {owner}, and the service runs as {user}: start it as {owner} or as root, or \
         hand the folder over (chown -R {user} {data_dir})"
    )]
    NotOurs {
        data_dir: PathBuf,
        owner: String,
        user: String,
    },

    /// Started as root, and users other than root could replace the folder.
    #[error(
        "as root nothing is made in {data_dir}, because {folder} is not root's alone: make it for the user `{user}` \
         (install -d -o {user} -m 700 {data_dir}), or name another folder ([database] data_dir)"
    )]
    NotRootsAlone {
        data_dir: PathBuf,
        /// The folder on the way to it.
        folder: PathBuf,
        /// The user that PostgreSQL runs as.
        user: String,
    },

    /// Started as root, and the system does not let us do what is to be done as another user.
    #[error("root may not act as the user `{user}` here: {source}; start the service as that user")]
    NotActing {
        /// The user that PostgreSQL runs as.
        user: String,
        source: io::Error,
    },

    /// Started as root, and the user that PostgreSQL runs as cannot reach its folder.
    #[error(
        "{folder} cannot be entered by the user `{user}`, as which PostgreSQL runs because the service was started as \
         root: put the data elsewhere ([database] data_dir, such as /var/lib/aqua-orders/postgres), or start the \
         service as an ordinary user, or open the way (chmod o+x {folder})"
    )]
    Unreachable {
        /// The topmost folder that is closed to them.
        folder: PathBuf,
        /// The user that PostgreSQL runs as.
        user: String,
    },

    /// Started as root, and the user that PostgreSQL runs as may not execute it.
    #[error(
        "the user `{user}`, as which PostgreSQL runs because the service was started as root, cannot run {program}: \
         {source}; let others execute it, or start the service as an ordinary user"
    )]
    NotExecutable {
        /// The user that PostgreSQL runs as.
        user: String,
        program: PathBuf,
        source: io::Error,
    },

    /// A command has nothing to look at.
    #[error(
        "there is no database here: no DATABASE_URL is set, and there is no private cluster in {data_dir}. Give the command the \
         service's environment (DATABASE_URL or AQUA_DATA_DIR, and AQUA_CONFIG), or start the service: its first start makes \
         the cluster"
    )]
    NoCluster { data_dir: PathBuf },

    /// A command was given a database that no service has used.
    #[error(
        "the database {database} at {place} has no tables of this service: check DATABASE_URL, or start the service: its first \
         start makes them"
    )]
    NoTables { database: String, place: String },

    /// The folder holds something, and it is no cluster of ours: nothing in it is touched.
    #[error(
        "{data_dir} holds files but no complete PostgreSQL cluster (such as {entry:?}): nothing was touched; move them \
         away, or name another folder ([database] data_dir)"
    )]
    NotACluster {
        data_dir: PathBuf,
        /// One of the strange files.
        entry: String,
    },

    /// The short folder for the socket is not safe to use.
    #[error(
        "{path} should be a folder of {user}'s own for PostgreSQL's socket, and is not (another owner, open to others, \
         or a link): remove it, or shorten [database] data_dir so that it is not needed"
    )]
    SocketFolder { path: PathBuf, user: String },

    /// A file or folder of the private cluster could not be made, read or written.
    #[error(
        "could not {what} {path}: {source}; check the folder's owner, its rights and the free space"
    )]
    File {
        /// What failed, as a verb.
        what: &'static str,
        /// On what.
        path: PathBuf,
        source: io::Error,
    },

    /// A program of PostgreSQL's did not start at all.
    #[error(
        "could not run {program}: {source}; reinstall PostgreSQL or name its folder in AQUA_POSTGRES_BIN"
    )]
    Program { program: PathBuf, source: io::Error },

    /// `initdb` ran and failed.
    #[error(
        "initdb could not make the private cluster in {data_dir}; fix what it says and start again:\n{output}"
    )]
    Initdb { data_dir: PathBuf, output: String },

    /// The private cluster's `postgres` ended instead of starting.
    #[error(
        "PostgreSQL ended at start in {data_dir}; fix what its log says and start again:\n{log}"
    )]
    Died {
        data_dir: PathBuf,
        /// The end of its log.
        log: String,
    },

    /// The private cluster's `postgres` runs and takes no connection.
    #[error(
        "PostgreSQL in {data_dir} took no connection within {} s ({last}); after a crash it may need longer: raise \
         [database] start_timeout. The end of its log:\n{log}", .waited.as_secs()
    )]
    NotReady {
        data_dir: PathBuf,
        waited: Duration,
        /// How the last try failed.
        last: String,
        /// The end of its log.
        log: String,
    },

    /// The private cluster's `postgres` did not stop.
    #[error(
        "PostgreSQL (process {pid}) in {data_dir} did not stop; nothing is lost: the next start takes it over. Its log \
         in {data_dir}/log says what it waits for"
    )]
    NotStopped { data_dir: PathBuf, pid: i32 },

    /// The server that `DATABASE_URL` names did not answer in time.
    #[error(
        "the database did not answer within {} s: {source}; check that it runs, and the host, port and name in \
         DATABASE_URL", .waited.as_secs()
    )]
    NoAnswer {
        waited: Duration,
        /// How the last try failed.
        source: sqlx::Error,
    },

    /// The server answered and does not let us in.
    #[error(
        "the database refuses us: {0}; check the user, the password and the database's name in its URL, and that \
         the database exists"
    )]
    Refused(sqlx::Error),

    /// The console's own login cannot be used.
    #[error(
        "the console's own login (`database_url` in [operator], AQUA_CONSOLE_DATABASE_URL): {0}"
    )]
    Console(Box<Error>),

    /// The console is to log in as a role that does not exist.
    #[error(
        "there is no role {role} at the database for the console: as a superuser there, CREATE ROLE {} LOGIN PASSWORD '…', and start \
         again; the service itself gives it its rights. Or leave out `database_url` in [operator] (AQUA_CONSOLE_DATABASE_URL)",
        quoted(.role)
    )]
    NoConsoleRole { role: String },

    /// The console's role is none of its own.
    #[error(
        "the console's role {role} may do more than its pages need: it is the service's own, a superuser or a member of one, or \
         everybody was granted too much (PUBLIC). Make one that is nothing but the console's, CREATE ROLE aqua_console LOGIN PASSWORD \
         '…', and name it in `database_url` in [operator] (AQUA_CONSOLE_DATABASE_URL)"
    )]
    ConsoleMayMore { role: String },

    /// The console's login does not find what its role was granted.
    #[error(
        "the console's login {role} does not find the service's tables, or not those that it was given rights to: `database_url` in \
         [operator] (AQUA_CONSOLE_DATABASE_URL) is to name the same database as DATABASE_URL, and the role needs USAGE on \
         the tables' schema, and the service's search_path"
    )]
    ConsoleElsewhere { role: String },

    /// A statement of the set-up failed.
    #[error("the database could not be set up: {0}; its log says more")]
    Setup(#[from] sqlx::Error),

    /// A pooler on the way loses prepared statements.
    #[error(
        "the pooler before the database does not keep prepared statements ({0}): PgBouncer 1.21 or newer keeps them with \
         max_prepared_statements = 200; older ones need pool_mode = session (deploy/pgbouncer.ini)"
    )]
    NotPrepared(sqlx::Error),

    /// A newer program has worked on this database.
    #[error(
        "the database is at migration {found}, and this program knows migrations up to {known}: a newer aqua-orders has \
         worked on it. Start that version or a later one; there is no way back but a backup"
    )]
    Newer {
        /// The database's migration.
        found: i64,
        /// This program's last.
        known: i64,
    },

    /// A migration that was applied is not the one this program carries.
    #[error(
        "migration {0} in the database is not the one this program carries: the database belongs to another program or \
         to another build. Check DATABASE_URL, and start the build that made it"
    )]
    Altered(i64),

    /// A migration failed; it left nothing behind.
    #[error(
        "a migration failed and was rolled back: {0}; the database's user must own the database (ALTER DATABASE … OWNER \
         TO …)"
    )]
    Migration(MigrateError),
}

impl Error {
    pub(super) fn of_console(error: Self) -> Self {
        Self::Console(Box::new(error))
    }

    /// Whether nobody answered, who may well do so later.
    #[must_use]
    pub fn is_no_answer(&self) -> bool {
        match self {
            Self::Console(error) => error.is_no_answer(),
            error => matches!(error, Self::NoAnswer { .. }),
        }
    }

    /// What an error of a first, harmless statement says of the way there.
    pub(super) fn of_pooler(error: sqlx::Error) -> Self {
        // invalid_sql_statement_name, duplicate_prepared_statement: of another's session.
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        if matches!(code.as_deref(), Some("26000" | "42P05")) {
            Self::NotPrepared(error)
        } else {
            Self::Setup(error)
        }
    }
}

/// As SQL has a name.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn holder(pid: Option<&str>) -> String {
    pid.map(|pid| format!(" (process {pid})"))
        .unwrap_or_default()
}
