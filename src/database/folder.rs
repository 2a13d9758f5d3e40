//! The private cluster's folder: whose it is, who holds it, and how a whole cluster gets into it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    fcntl::OFlag,
    sys::signal::kill,
    unistd::{Gid, Pid, Uid},
};
use sha2::{Digest, Sha256};

use super::{Account, Error, binaries::Binaries};

/// Held, by an exclusive lock, as long as a service works on the folder.
const LOCK: &str = "aqua-orders.lock";
/// Part of the socket's file name and nothing more: there is no TCP. The usual number, so that `psql -h FOLDER` works.
pub(super) const PORT: u16 = 5432;
/// What postgres says before its own log starts; begun anew at every start.
const START_LOG: &str = "start.log";
/// Where postgres keeps its log, a file for each day of the week.
pub(super) const LOG_FOLDER: &str = "log";
/// What every whole cluster has.
const CONTROL: &str = "global/pg_control";
/// A cluster that initdb has finished and that is being moved into place.
const FINISHED: &str = "initdb.finished";
/// A cluster that initdb is working on; the process id follows.
const UNFINISHED: &str = "initdb.unfinished-";
/// How long the path of a Unix socket may be, without its closing NUL.
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A folder that is ours, reachable and locked.
#[derive(Debug)]
pub(super) struct Folder {
    /// Absolute, without links.
    pub path: PathBuf,
    /// Whose it is: as whom PostgreSQL runs.
    pub account: Account,
    /// Dropped last: whoever gets the lock next may start at once.
    _lock: File,
}

/// A postmaster that works on the folder.
#[derive(Debug)]
pub(super) struct Running {
    pub pid: Pid,
    /// The folder it listens in; `None` while it is so young that it has not written that down.
    pub socket: Option<PathBuf>,
}

/// The major version of the cluster in `data_dir`, if there is a whole one.
pub(super) fn major(data_dir: &Path) -> Option<u32> {
    [data_dir.to_path_buf(), data_dir.join(FINISHED)]
        .iter()
        .find_map(|folder| read(&folder.join("PG_VERSION")).ok()?.trim().parse().ok())
}

/// The postmaster that works on `data_dir`, an absolute path without links. postmaster.pid outlives its writer after a
/// kill or a power cut, and its number may belong to anybody by then, so it is believed only together with the process.
pub(super) fn postmaster(data_dir: &Path) -> Option<Running> {
    let text = read(&data_dir.join("postmaster.pid")).ok()?;
    let mut lines = text.lines();
    let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?);
    let socket = lines
        .nth(3)
        .map(str::trim)
        .filter(|line| !line.is_empty())
        // As it was named to postgres, whose working folder this is.
        .map(|line| data_dir.join(line));
    is_postmaster(pid, data_dir).then_some(Running { pid, socket })
}

/// Whether that process is a postgres on that folder. (A zombie is not.)
pub(super) fn is_postmaster(pid: Pid, data_dir: &Path) -> bool {
    // Zero and below mean groups of processes, never one.
    if pid.as_raw() <= 0 || kill(pid, None) == Err(nix::Error::ESRCH) {
        return false;
    }
    if cfg!(target_os = "linux") {
        // A postmaster works inside its data folder, as its owner. A process whose folder we may not read is a stranger's.
        let owner = |path: &Path| fs::metadata(path).map(|found| found.uid());
        let process = PathBuf::from(format!("/proc/{pid}"));
        fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == data_dir)
            && matches!((owner(&process), owner(data_dir)), (Ok(his), Ok(its)) if his == its)
    } else {
        std::process::Command::new("ps")
            .args(["-o", "command=", "-p", &pid.to_string()])
            .output()
            .is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("postgres"))
    }
}

impl Folder {
    /// Makes the folder PostgreSQL's own, as [`prepare`] does, and locks it.
    pub(super) fn take(data_dir: &Path, binaries: &Binaries) -> Result<Self, Error> {
        let (path, account) = prepare(data_dir, binaries)?;
        let lock = acting(&account, || lock(&path))??;
        Ok(Self {
            path,
            account,
            _lock: lock,
        })
    }

    /// The postmaster that works here, e.g. because the service before us was killed.
    pub(super) fn running(&self) -> Option<Running> {
        postmaster(&self.path)
    }

    /// Removes postmaster.pid and the socket's lock file when the number in them belongs to somebody else by now, or to
    /// a killed postmaster that its new parent has not waited for yet: postgres, which cannot look as closely, would
    /// refuse to start. (Nothing is risked: it guards its shared memory by itself. A dead number it removes.)
    pub(super) fn forget_dead_postmaster(&self, socket: &Path) -> Result<(), Error> {
        let socket_lock = socket.join(format!(".s.PGSQL.{PORT}.lock"));
        acting(&self.account, || {
            for path in [self.path.join("postmaster.pid"), socket_lock] {
                remove_file(&path)?;
            }
            Ok(())
        })?
    }

    /// Sees to it that there is a whole cluster. initdb works in a folder of its own inside this one, and what it made
    /// is moved up with `PG_VERSION` last: whatever the moment of a kill, the next start knows where it stands, never
    /// removes anything but an unfinished initdb's work, and needs no rights on the folder above (it may be a mount).
    pub(super) async fn initialise(&self, binaries: &Binaries) -> Result<(), Error> {
        let finished = self.path.join(FINISHED);
        let is_there = acting(&self.account, || {
            if self.path.join("PG_VERSION").exists() {
                self.check_whole(&finished)?;
                return Ok::<_, Error>(true);
            }
            if !finished.exists() {
                self.clear_unfinished()?;
            }
            Ok(false)
        })??;
        if is_there {
            return Ok(());
        }
        if !finished.exists() {
            let unfinished = self
                .path
                .join(format!("{UNFINISHED}{}", std::process::id()));
            self.initdb(binaries, &unfinished).await?;
            acting(&self.account, || fs::rename(&unfinished, &finished))?
                .map_err(file("rename", &unfinished))?;
        }
        acting(&self.account, || self.move_up(&finished))?
    }

    /// Of one that has its `PG_VERSION`.
    fn check_whole(&self, finished: &Path) -> Result<(), Error> {
        if finished.exists() {
            fs::remove_dir_all(finished).map_err(file("remove", finished))?;
        }
        if self.path.join(CONTROL).exists() {
            return Ok(());
        }
        Err(Error::NotACluster {
            data_dir: self.path.clone(),
            entry: "PG_VERSION".to_owned(),
        })
    }

    /// Removes what a killed initdb left, and refuses a folder with anything else in it.
    fn clear_unfinished(&self) -> Result<(), Error> {
        refuse_strange_files(&self.path)?;
        for entry in fs::read_dir(&self.path).map_err(file("read", &self.path))? {
            let entry = entry.map_err(file("read", &self.path))?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                remove_under_work(&entry.path()).map_err(file("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    async fn initdb(&self, binaries: &Binaries, into: &Path) -> Result<(), Error> {
        tracing::info!(folder = %self.path.display(), version = binaries.major, "making the private cluster");
        let mut command = self.account.command(&binaries.initdb(), &self.path);
        command.arg("-D").arg(into).args([
            "--username=postgres",
            "--encoding=UTF8",
            // The one locale that every system has. Keys compare byte by byte anyway (migrations/0001).
            "--locale=C",
            "--data-checksums",
            // Whoever reaches the socket is let in, because only the owner (and root, who could change to the owner)
            // reaches it: it lies in a 0700 folder. `peer` would say the same with less: it compares names, and a
            // service started as root, then as an ordinary user, or with a changed account, needs a map each time.
            "--auth-local=trust",
            // There is no TCP; should somebody open it, nobody comes in.
            "--auth-host=reject",
        ]);
        command.stdin(Stdio::null());
        let said = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| Error::Program {
                program: binaries.initdb(),
                source,
            })?;
        if said.status.success() {
            return Ok(());
        }
        let output = format!(
            "{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        );
        Err(Error::Initdb {
            data_dir: self.path.clone(),
            output: last_lines(&output, 15),
        })
    }

    fn move_up(&self, finished: &Path) -> Result<(), Error> {
        let sync = || {
            File::open(&self.path)
                .and_then(|folder| folder.sync_all())
                .map_err(file("sync", &self.path))
        };
        for entry in fs::read_dir(finished).map_err(file("read", finished))? {
            let entry = entry.map_err(file("read", finished))?;
            if entry.file_name() != "PG_VERSION" {
                fs::rename(entry.path(), self.path.join(entry.file_name()))
                    .map_err(file("move", &entry.path()))?;
            }
        }
        sync()?;
        let version = finished.join("PG_VERSION");
        fs::rename(&version, self.path.join("PG_VERSION")).map_err(file("move", &version))?;
        sync()?;
        fs::remove_dir(finished).map_err(file("remove", finished))
    }

    /// The folder for the socket, and whether it lies outside. In the cluster's own folder where the path is short
    /// enough for a Unix socket; else in a short one whose name follows from ours, so that the next start finds it.
    pub(super) fn socket(&self) -> Result<(PathBuf, bool), Error> {
        // sqlx wants the path as text.
        if self
            .path
            .to_str()
            .is_some_and(|path| path.len() + format!("/.s.PGSQL.{PORT}").len() <= SOCKET_PATH_MAX)
        {
            return Ok((self.path.clone(), false));
        }
        let parent = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            // Root's own is closed to the user that PostgreSQL runs as.
            .filter(|folder| folder.is_absolute() && folder.as_os_str().len() <= 40)
            .filter(|folder| {
                fs::metadata(folder)
                    .is_ok_and(|found| found.is_dir() && found.uid() == self.account.uid)
            })
            .unwrap_or_else(|| PathBuf::from("/tmp"));
        let digest = Sha256::digest(self.path.as_os_str().as_encoded_bytes());
        let short = digest
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        let path = parent.join(format!("aqua-orders-{short:016x}"));
        let made = acting(&self.account, || {
            DirBuilder::new().mode(0o700).create(&path)
        })?;
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(file("make", &path)(error));
            }
            _ => {}
        }
        // /tmp belongs to everybody: somebody else may have been there first, with a link or a folder of their own.
        let found = fs::symlink_metadata(&path).map_err(file("read", &path))?;
        if !found.is_dir() || found.uid() != self.account.uid || found.mode() & 0o077 != 0 {
            return Err(Error::SocketFolder {
                path,
                user: self.account.name.clone(),
            });
        }
        Ok((path, true))
    }

    /// A new file for what postgres says before its own log starts.
    pub(super) fn start_log(&self) -> Result<File, Error> {
        let path = self.path.join(START_LOG);
        acting(&self.account, || {
            remove_file(&path)?;
            let mut new = OpenOptions::new();
            new.create_new(true).write(true).mode(0o600);
            new.open(&path).map_err(file("open", &path))
        })?
    }

    /// The end of what postgres said since `start_log`.
    pub(super) fn log_tail(&self) -> String {
        acting(&self.account, || self.read_log_tail()).unwrap_or_default()
    }

    fn read_log_tail(&self) -> String {
        let newest = fs::read_dir(self.path.join(LOG_FOLDER))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .max()
            .map(|(_, path)| path);
        let tail = |path: &Path| read(path).map(|text| last_lines(&text, 12));
        let (first, then) = (
            tail(&self.path.join(START_LOG)).unwrap_or_default(),
            newest.and_then(|path| tail(&path).ok()),
        );
        // The log file is a day's; it counts only when postgres got as far as opening it in this start.
        match then {
            Some(then) if first.contains("log output to logging collector") => {
                format!("{first}\n{then}")
            }
            _ => first,
        }
    }
}

/// Makes the folder where it does not exist, and PostgreSQL's own. Gives its path, absolute and without links, and whose it
/// is.
pub(super) fn prepare(data_dir: &Path, binaries: &Binaries) -> Result<(PathBuf, Account), Error> {
    let data_dir = std::path::absolute(data_dir).map_err(file("find", data_dir))?;
    let account = Account::for_postgres(&data_dir)?;
    // Who may make it himself needs no root for it, nor whoever may write to a folder on the way.
    let made = acting(&account, || make(&data_dir))?;
    match made {
        Err(error) if account.is_another() && error.kind() == io::ErrorKind::PermissionDenied => {
            make_as_root(&data_dir, &account)?;
        }
        made => made.map_err(file("make", &data_dir))?,
    }
    let path = fs::canonicalize(&data_dir).map_err(file("find", &data_dir))?;
    let found = fs::metadata(&path).map_err(file("read", &path))?;
    if found.uid() == 0 && account.is_another() {
        hand_over(&path, &account)?;
    } else if found.uid() != account.uid {
        return Err(not_ours(&path, &found, account.name));
    }
    if found.mode() & 0o077 != 0 {
        let close = || fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
        acting(&account, close)?.map_err(file("close", &path))?;
    }
    if account.is_another() {
        check_reachable(&path, &account, binaries)?;
    }
    Ok((path, account))
}

/// Makes the folder and its parents, which others may pass.
fn make(data_dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = data_dir
        .ancestors()
        .take_while(|folder| !folder.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        let mode = if folder == data_dir { 0o700 } else { 0o755 };
        match fs::create_dir(folder) {
            // Another start was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            outcome => outcome?,
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// The same where the account may not: in folders of root's alone.
fn make_as_root(data_dir: &Path, account: &Account) -> Result<(), Error> {
    let there = data_dir.ancestors().find(|folder| folder.exists());
    if let Some(there) = there {
        let there = fs::canonicalize(there).map_err(file("find", there))?;
        refuse_others_folders(&there, data_dir, account)?;
    }
    make(data_dir).map_err(file("make", data_dir))
}

/// Gives the account a folder of root's that nobody has put anything into yet, or somebody a cluster.
fn hand_over(path: &Path, account: &Account) -> Result<(), Error> {
    // Somebody who could put another folder in its place would be given that one.
    refuse_others_folders(path, path, account)?;
    if !(path.join("PG_VERSION").exists() && path.join(CONTROL).exists()) {
        refuse_strange_files(path)?;
    }
    account.own(path).map_err(file("hand over", path))
}

/// Refuses a path, without links, on which somebody else than root could put something else in a folder's place.
fn refuse_others_folders(path: &Path, data_dir: &Path, account: &Account) -> Result<(), Error> {
    const OTHERS_MAY_WRITE: u32 = 0o022;
    /// Each may remove and rename only what is his own.
    const STICKY: u32 = 0o1000;
    for folder in path.ancestors() {
        let found = fs::symlink_metadata(folder).map_err(file("read", folder))?;
        let is_closed = found.mode() & OTHERS_MAY_WRITE == 0 || found.mode() & STICKY != 0;
        if !found.is_dir() || found.uid() != 0 || !is_closed {
            return Err(Error::NotRootsAlone {
                data_dir: data_dir.to_path_buf(),
                folder: folder.to_path_buf(),
                user: account.name.clone(),
            });
        }
    }
    Ok(())
}

/// Refuses a folder with anything else in it than what a start before its first initdb leaves.
fn refuse_strange_files(path: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(path).map_err(file("read", path))? {
        let entry = entry.map_err(file("read", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(UNFINISHED)
            && ![LOCK, START_LOG, "lost+found"].contains(&name.as_str())
        {
            return Err(Error::NotACluster {
                data_dir: path.to_path_buf(),
                entry: name,
            });
        }
    }
    Ok(())
}

/// With the account's rights on files and no others.
fn acting<T: Send>(account: &Account, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    account.acting(work).map_err(|source| Error::NotActing {
        user: account.name.clone(),
        source,
    })
}

/// The text of a file: no link, nothing that never ends, and no more of it than its end.
fn read(path: &Path) -> io::Result<String> {
    const MOST: u64 = 1024 * 1024;
    let mut opened = OpenOptions::new();
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let mut opened = opened.read(true).custom_flags(flags.bits()).open(path)?;
    let found = opened.metadata()?;
    if !found.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    opened.seek(SeekFrom::Start(found.len().saturating_sub(MOST)))?;
    let mut text = Vec::new();
    opened.take(MOST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Tries it, because rights are more than mode bits: a harmless program, run as that user in that folder.
fn check_reachable(path: &Path, account: &Account, binaries: &Binaries) -> Result<(), Error> {
    let program = binaries.postgres();
    let enter = |folder: &Path| {
        let mut command = account.command(&program, folder);
        command
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().map(drop)
    };
    if enter(path).is_ok() {
        return Ok(());
    }
    enter(Path::new("/")).map_err(|source| Error::NotExecutable {
        user: account.name.clone(),
        program: program.clone(),
        source,
    })?;
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    let closed = ancestors
        .into_iter()
        .find(|folder| enter(folder).is_err())
        .unwrap_or(path);
    Err(Error::Unreachable {
        folder: closed.to_path_buf(),
        user: account.name.clone(),
    })
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path);
    let mut lock = opened.map_err(file("open", &path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = lock.read_to_string(&mut pid);
            let pid = read
                .ok()
                .map(|_| pid.trim().to_owned())
                .filter(|pid| !pid.is_empty());
            return Err(Error::InUse {
                data_dir: folder.to_path_buf(),
                pid,
            });
        }
        Err(TryLockError::Error(error)) => return Err(file("lock", &path)(error)),
    }
    // Only for the message above; the lock itself is what counts.
    lock.set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(file("write", &path))?;
    Ok(lock)
}

/// A killed service's initdb may still be writing for a moment; it gives up once its folder is gone.
fn remove_under_work(path: &Path) -> io::Result<()> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(100)),
            done => return done,
        }
    }
}

fn not_ours(path: &Path, found: &fs::Metadata, user: String) -> Error {
    let owner = Account::by_id(Uid::from_raw(found.uid()), Gid::from_raw(found.gid())).name;
    Error::NotOurs {
        data_dir: path.to_path_buf(),
        owner,
        user,
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |source| Error::File { what, path, source }
}
