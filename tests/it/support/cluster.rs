//! A PostgreSQL of a test's own, to be treated badly: killed, stopped, started again on the same data.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use aqua_orders::database::{Account, binaries};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

use super::{process::Scratch, serving::PATIENCE};

/// It keeps PostgreSQL's own promises (`fsync` and all). A [`Scratch`] clears away after it whatever happens.
#[derive(Debug)]
pub struct Cluster {
    account: Account,
    programs: PathBuf,
    folder: PathBuf,
    postmaster: Option<Child>,
}

impl Cluster {
    /// Makes one in a new folder of `scratch`, with these lines in its settings; it is not started.
    pub fn make(scratch: &Scratch, name: &str, settings: &str) -> Self {
        let cluster = Self::nothing(scratch, name);
        cluster.run("initdb", &["-U", "postgres", "-A", "trust", "--no-sync"]);
        let file = cluster.data().join("postgresql.conf");
        let text = fs::read_to_string(&file).unwrap();
        let socket = cluster.folder.display();
        fs::write(
            &file,
            format!(
                "{text}\nlisten_addresses = ''\nunix_socket_directories = '{socket}'\n{settings}\n"
            ),
        )
        .unwrap();
        cluster
    }

    /// Makes a standby of this one, which runs: started, it follows it as `name`.
    pub fn standby(&self, scratch: &Scratch, name: &str) -> Self {
        let standby = Self::nothing(scratch, name);
        let primary = format!(
            "host={} user=postgres application_name={name}",
            self.folder.display()
        );
        standby.run(
            "pg_basebackup",
            &["-R", "-c", "fast", "--no-sync", "-d", &primary],
        );
        let file = standby.data().join("postgresql.conf");
        let text = fs::read_to_string(&file).unwrap();
        let (theirs, ours) = (
            self.folder.display().to_string(),
            standby.folder.display().to_string(),
        );
        fs::write(&file, text.replace(&theirs, &ours)).unwrap();
        standby
    }

    fn nothing(scratch: &Scratch, name: &str) -> Self {
        let folder = scratch.join(name);
        let account = Account::for_postgres(Path::new("/nonexistent")).unwrap();
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        account.own(&folder).unwrap();
        Self {
            account,
            // Behind links, where the programs are that only tests need.
            programs: fs::canonicalize(binaries::find(None).unwrap().folder.join("postgres"))
                .unwrap()
                .parent()
                .unwrap()
                .to_owned(),
            folder,
            postmaster: None,
        }
    }

    /// Where its socket is, too.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self
            .account
            .command(&self.programs.join(program), &self.folder)
            .args(arguments)
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {said}");
    }

    /// Starts it, again where those that a kill left behind are still on their way out, and waits until it answers.
    pub async fn start(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let ended = match &mut self.postmaster {
                Some(postmaster) => postmaster.try_wait().unwrap().is_some(),
                None => true,
            };
            if ended {
                self.postmaster = Some(self.spawn());
            }
            if self.options("postgres").connect().await.is_ok() {
                return;
            }
            assert!(Instant::now() < until, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn spawn(&self) -> Child {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        self.account
            .command(&self.programs.join("postgres"), &self.folder)
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Sends a signal to the postmaster alone and waits for its end: `SIGINT` is PostgreSQL's fast stop, `SIGQUIT` the
    /// immediate one, `SIGKILL` none at all.
    pub fn end(&mut self, signal: Signal) {
        let mut postmaster = self.postmaster.take().unwrap();
        kill(Pid::from_raw(postmaster.id().try_into().unwrap()), signal).unwrap();
        postmaster.wait().unwrap();
    }

    /// Sends a signal to every process of it.
    pub fn signal_all(&self, signal: Signal) {
        let postmaster = self.postmaster.as_ref().unwrap().id();
        // The postmaster first: it would start others in place of those that are stopped.
        for process in std::iter::once(postmaster).chain(children(postmaster)) {
            // One of its children may be gone by itself meanwhile.
            let _ = kill(Pid::from_raw(process.try_into().unwrap()), signal);
        }
    }

    /// Makes a standby take writes.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "-w"]);
    }

    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .username("postgres")
            .database(database)
    }

    /// The socket's folder, as the host of a URL.
    pub fn host(&self) -> String {
        self.folder.display().to_string().replace('/', "%2F")
    }

    /// What `DATABASE_URL` would say.
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.host())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.postmaster.is_some() {
            self.signal_all(Signal::SIGCONT);
            self.end(Signal::SIGQUIT);
        }
    }
}

/// Processes that this one started.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|process: &u32| {
            fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| {
                // `pid (name) state ppid …`, and a name may hold anything.
                let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
                fields.split_whitespace().nth(1) == Some(&parent.to_string())
            })
        })
        .collect()
}

/// Waits until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(20));
    }
}
