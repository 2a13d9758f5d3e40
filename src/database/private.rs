//! The private cluster: a PostgreSQL that belongs to the service, runs with it and is reached by nobody else.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::{sleep, timeout};

use super::{
    Account, Error,
    binaries::{self, Binaries},
    folder::{self, Folder, LOG_FOLDER, PORT},
};
use crate::config;

/// The database, and the role that owns it and nothing else.
const NAME: &str = "aqua_orders";
/// The console's role.
const CONSOLE: &str = "aqua_console";
/// How long a fast shutdown may write its checkpoint before the server is told to drop everything.
const STOP_FAST: Duration = Duration::from_secs(30);
const STOP_IMMEDIATE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A running private cluster. Stop it with [`PrivateCluster::stop`]; dropped without that it is stopped all the same,
/// while the dropping thread waits.
#[derive(Debug)]
pub struct PrivateCluster {
    /// `None` once stopped.
    postmaster: Option<Postmaster>,
    binaries: Binaries,
    socket: PathBuf,
    /// The socket's folder is outside of the cluster's, and ours to remove.
    socket_outside: bool,
    connections: u32,
    start_timeout: Duration,
    /// Last, so that the lock is let go when all else is over.
    folder: Folder,
}

#[derive(Debug)]
enum Postmaster {
    /// Started by us.
    Child(Child),
    /// Left running by a service that was killed.
    TakenOver(Pid),
}

/// How a try to reach the server ended.
enum Reached {
    Ready(PgConnection),
    /// The process is gone.
    Ended,
    /// It runs and let nobody in; the last refusal.
    Late(String),
}

/// How to connect to the cluster of a service that is running, if one is.
///
/// # Errors
/// [`Error::NotReady`] when it does not get ready within `start_timeout`; [`Error::File`] when the folder is closed to us.
pub(super) async fn beside_running(settings: &config::Database) -> Result<PgConnectOptions, Error> {
    let path = fs::canonicalize(&settings.data_dir).map_err(|source| Error::File {
        what: "find",
        path: settings.data_dir.clone(),
        source,
    })?;
    let deadline = Instant::now() + settings.start_timeout;
    let mut last = "its service is still starting".to_owned();
    while Instant::now() < deadline {
        if let Some(socket) = folder::postmaster(&path).and_then(|running| running.socket) {
            let options = options(&socket, NAME, NAME);
            match timeout(Duration::from_secs(2), options.connect()).await {
                Ok(Ok(connection)) => {
                    // The connection is not needed any more; closing it spares the server a log line.
                    let _closed = connection.close().await;
                    return Ok(options);
                }
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => "no answer".clone_into(&mut last),
            }
        }
        sleep(LOOK_AGAIN).await;
    }
    Err(Error::NotReady {
        data_dir: path,
        waited: settings.start_timeout,
        last,
        log: String::new(),
    })
}

impl PrivateCluster {
    /// Makes the folder in `settings.data_dir` ready for whoever PostgreSQL runs as, and says who that is.
    pub(super) fn prepare(settings: &config::Database) -> Result<Account, Error> {
        let data_dir = settings.data_dir.as_path();
        // Looked for before anything is made: a machine without PostgreSQL is left as it was.
        let binaries = binaries::find(folder::major(data_dir).map(|major| (data_dir, major)))?;
        folder::prepare(data_dir, &binaries).map(|(_, account)| account)
    }

    /// Starts the cluster in `settings.data_dir`, made first where there is none; takes over a server that a killed
    /// service left running.
    pub(super) async fn start(settings: &config::Database) -> Result<Self, Error> {
        let data_dir = settings.data_dir.as_path();
        // Looked for before anything is made: a machine without PostgreSQL is left as it was.
        let binaries = binaries::find(folder::major(data_dir).map(|major| (data_dir, major)))?;
        let folder = Folder::take(data_dir, &binaries)?;
        folder.initialise(&binaries).await?;
        let (socket, socket_outside) = folder.socket()?;
        let mut cluster = Self {
            postmaster: None,
            binaries,
            socket,
            socket_outside,
            connections: settings.connections,
            start_timeout: settings.start_timeout,
            folder,
        };
        let superuser = cluster.run().await?;
        create_database(superuser).await?;
        Ok(cluster)
    }

    /// How to connect to the service's database.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        options(&self.socket, NAME, NAME)
    }

    /// The same as the console does.
    #[must_use]
    pub fn console_options(&self) -> PgConnectOptions {
        options(&self.socket, CONSOLE, NAME)
    }

    /// The cluster's folder, absolute.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.folder.path
    }

    /// The folder of its Unix socket (`psql -h` takes it).
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self.postmaster.as_ref()? {
            Postmaster::Child(child) => Some(child.id()),
            Postmaster::TakenOver(pid) => pid.as_raw().try_into().ok(),
        }
    }

    /// Starts the server again whenever it dies, for as long as the service runs; ends only when that fails. May be
    /// dropped at any point (as a branch of `select!`): [`PrivateCluster::stop`] works afterwards.
    pub async fn keep_running(&mut self) -> Error {
        loop {
            sleep(Duration::from_millis(250)).await;
            if self.alive() {
                continue;
            }
            // Once for each death: that it does not start is for the caller to say.
            if self.postmaster.take().is_some() {
                tracing::warn!(
                    folder = %self.data_dir().display(),
                    "PostgreSQL died and is started again; until it is there batches get 503, and nothing is lost"
                );
            }
            match self.run().await {
                Ok(connection) => drop(connection),
                Err(error) => return error,
            }
        }
    }

    /// Stops the server: connections are cut, what is committed is written, and the next start needs no recovery.
    ///
    /// # Errors
    /// [`Error::NotStopped`] when it does not end even when told to drop everything.
    pub async fn stop(mut self) -> Result<(), Error> {
        for (signal, patience) in [
            (Signal::SIGINT, STOP_FAST),
            (Signal::SIGQUIT, STOP_IMMEDIATE),
        ] {
            self.signal(signal);
            let until = Instant::now() + patience;
            while self.alive() && Instant::now() < until {
                sleep(LOOK_AGAIN).await;
            }
            if !self.alive() {
                self.clear();
                return Ok(());
            }
            tracing::warn!(folder = %self.data_dir().display(), ?signal, "PostgreSQL is slow to stop");
        }
        let pid = self
            .pid()
            .and_then(|pid| pid.try_into().ok())
            .unwrap_or_default();
        self.postmaster = None;
        Err(Error::NotStopped {
            data_dir: self.folder.path.clone(),
            pid,
        })
    }

    /// Brings the server up, or takes over one that runs, and connects as its superuser.
    async fn run(&mut self) -> Result<PgConnection, Error> {
        let deadline = Instant::now() + self.start_timeout;
        loop {
            let running = self.folder.running();
            let taken_over = running.is_some();
            self.postmaster = Some(if let Some(running) = running {
                Postmaster::TakenOver(running.pid)
            } else {
                self.folder.forget_dead_postmaster(&self.socket)?;
                Postmaster::Child(self.spawn()?)
            });
            match self.reach(deadline).await {
                Reached::Ready(mut connection) => {
                    if !taken_over {
                        tracing::info!(folder = %self.data_dir().display(), pid = self.pid(), "PostgreSQL started");
                        return Ok(connection);
                    }
                    if self.runs_as_it_should(&mut connection).await? {
                        tracing::warn!(folder = %self.data_dir().display(), pid = self.pid(), "PostgreSQL was left running; taken over");
                        return Ok(connection);
                    }
                    // Started by hand, or with older settings of ours: TCP may be open, or durability off.
                    tracing::warn!(folder = %self.data_dir().display(), "PostgreSQL was left running with other settings; restarting it");
                    drop(connection);
                    self.signal(Signal::SIGINT);
                    while self.alive() && Instant::now() < deadline {
                        sleep(LOOK_AGAIN).await;
                    }
                }
                // It was shutting down when we found it.
                Reached::Ended if taken_over && Instant::now() < deadline => {}
                Reached::Ended => {
                    let log = self.folder.log_tail();
                    // A killed postmaster's children end by themselves, but not all in the same moment.
                    let children_left =
                        log.contains("shared memory block") || log.contains("postmaster.pid");
                    if !(children_left && Instant::now() < deadline) {
                        self.postmaster = None;
                        return Err(Error::Died {
                            data_dir: self.folder.path.clone(),
                            log,
                        });
                    }
                    sleep(Duration::from_millis(200)).await;
                }
                Reached::Late(last) => {
                    return Err(Error::NotReady {
                        data_dir: self.folder.path.clone(),
                        waited: self.start_timeout,
                        last,
                        log: self.folder.log_tail(),
                    });
                }
            }
        }
    }

    fn spawn(&self) -> Result<Child, Error> {
        let program = self.binaries.postgres();
        let mut command = self.folder.account.command(&program, &self.folder.path);
        command.arg("-D").arg(&self.folder.path);
        // On the command line, where neither postgresql.conf nor ALTER SYSTEM can undo them. All else is the operator's
        // to tune in postgresql.conf.
        for (name, value) in self.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let log = self.folder.start_log()?;
        let also = log.try_clone().map_err(|source| Error::Program {
            program: program.clone(),
            source,
        })?;
        command.stdin(Stdio::null()).stdout(also).stderr(log);
        command
            .spawn()
            .map_err(|source| Error::Program { program, source })
    }

    /// What the contract (§7) and the owner-only rule demand of the server.
    fn settings(&self) -> Vec<(&'static str, Cow<'static, str>)> {
        // A comma-separated list of names to PostgreSQL, hence the quotes.
        let socket = format!("\"{}\"", self.socket.to_string_lossy().replace('"', "\"\""));
        vec![
            ("listen_addresses", "".into()),
            ("unix_socket_directories", socket.into()),
            ("unix_socket_permissions", "0700".into()),
            ("port", PORT.to_string().into()),
            ("fsync", "on".into()),
            ("synchronous_commit", "on".into()),
            ("full_page_writes", "on".into()),
            // Room for the pool, for commands beside the service, and for psql.
            (
                "max_connections",
                self.connections
                    .saturating_add(50)
                    .max(100)
                    .to_string()
                    .into(),
            ),
            // A file for each day of the week, each begun anew a week later: never more than that on the disk.
            ("logging_collector", "on".into()),
            ("log_directory", LOG_FOLDER.into()),
            ("log_filename", "postgres-%a.log".into()),
            ("log_truncate_on_rotation", "on".into()),
            ("log_rotation_age", "1d".into()),
            ("log_rotation_size", "0".into()),
            ("log_file_mode", "0600".into()),
            // Neither rows nor statements: they hold names and phones.
            ("log_error_verbosity", "terse".into()),
            ("log_min_error_statement", "panic".into()),
        ]
    }

    async fn runs_as_it_should(&self, connection: &mut PgConnection) -> Result<bool, Error> {
        for (name, value) in self.settings() {
            let now: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(name)
                .fetch_one(&mut *connection)
                .await?;
            if now != value {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where the server is to be reached; `None` while it has not said so.
    fn listens_in(&self) -> Option<PathBuf> {
        match self.postmaster {
            Some(Postmaster::TakenOver(_)) => self.folder.running()?.socket,
            _ => Some(self.socket.clone()),
        }
    }

    async fn reach(&mut self, deadline: Instant) -> Reached {
        loop {
            if !self.alive() {
                return Reached::Ended;
            }
            let last = if let Some(socket) = self.listens_in() {
                let options = options(&socket, "postgres", "postgres");
                match timeout(Duration::from_secs(2), options.connect()).await {
                    Ok(Ok(connection)) => return Reached::Ready(connection),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "no answer".to_owned(),
                }
            } else {
                "it has no Unix socket".to_owned()
            };
            if Instant::now() >= deadline {
                return Reached::Late(last);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn alive(&mut self) -> bool {
        match &mut self.postmaster {
            None => false,
            Some(Postmaster::Child(child)) => matches!(child.try_wait(), Ok(None)),
            Some(Postmaster::TakenOver(pid)) => folder::is_postmaster(*pid, &self.folder.path),
        }
    }

    fn signal(&mut self, signal: Signal) {
        // The process id of a child that was waited for may belong to another process by now.
        if self.alive()
            && let Some(pid) = self.pid().and_then(|pid| pid.try_into().ok())
        {
            // It may end between the question and the signal; that is what was wanted.
            let _gone = kill(Pid::from_raw(pid), signal);
        }
    }

    fn clear(&mut self) {
        self.postmaster = None;
        if self.socket_outside {
            // Empty by now; when it is not, it serves the next start.
            let _left = (self.folder.account).acting(|| fs::remove_dir(&self.socket));
        }
    }
}

/// The last resort, for an error or a panic on the way out: a server without its service would be found by the next
/// start, but nobody would know of it until then.
impl Drop for PrivateCluster {
    fn drop(&mut self) {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            self.signal(signal);
            let until = Instant::now() + STOP_IMMEDIATE;
            while self.alive() && Instant::now() < until {
                std::thread::sleep(LOOK_AGAIN);
            }
            if !self.alive() {
                self.clear();
                return;
            }
        }
        tracing::error!(folder = %self.data_dir().display(), pid = self.pid(), "PostgreSQL does not stop and is left running");
    }
}

fn options(socket: &Path, user: &str, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .port(PORT)
        .username(user)
        .database(database)
}

/// The roles and the database, where they are not there yet. The service's lock on the folder makes us the only ones.
async fn create_database(mut superuser: PgConnection) -> Result<(), Error> {
    for name in [NAME, CONSOLE] {
        let role: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_roles WHERE rolname = $1")
            .bind(name)
            .fetch_optional(&mut superuser)
            .await?;
        if role.is_none() {
            sqlx::query(AssertSqlSafe(format!("CREATE ROLE {name} LOGIN")))
                .execute(&mut superuser)
                .await?;
        }
    }
    let database: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(NAME)
        .fetch_optional(&mut superuser)
        .await?;
    if database.is_none() {
        sqlx::query(AssertSqlSafe(format!(
            "CREATE DATABASE {NAME} OWNER {NAME}"
        )))
        .execute(&mut superuser)
        .await?;
    }
    superuser.close().await?;
    Ok(())
}
