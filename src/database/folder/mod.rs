//! The private cluster's folder: whose it is, who holds it, and how a whole cluster gets into it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use self::files::{FINISHED, LOCK, START_LOG, acting, file, last_lines, read, remove_file};
pub(super) use self::{
    postmaster::{Running, is_postmaster, postmaster},
    prepare::prepare,
};
use super::{Account, Error, binaries::Binaries};

mod files;
mod initialise;
mod postmaster;
mod prepare;

/// Part of the socket's file name and nothing more: there is no TCP. The usual number, so that `psql -h FOLDER` works.
pub(super) const PORT: u16 = 5432;
/// Where postgres keeps its log, a file for each day of the week.
pub(super) const LOG_FOLDER: &str = "log";
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

/// The major version of the cluster in `data_dir`, if there is a whole one.
pub(super) fn major(data_dir: &Path) -> Option<u32> {
    [data_dir.to_path_buf(), data_dir.join(FINISHED)]
        .iter()
        .find_map(|folder| read(&folder.join("PG_VERSION")).ok()?.trim().parse().ok())
}

/// Whether there is no cluster in `data_dir`, and nobody makes one right now. What we may not look at is no answer.
pub(super) fn has_none(data_dir: &Path) -> bool {
    let is_missing = |path: &Path| read(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    [data_dir.to_path_buf(), data_dir.join(FINISHED)]
        .iter()
        .all(|folder| is_missing(&folder.join("PG_VERSION")))
        && !is_locked(data_dir)
}

/// Whether a service works on the folder.
fn is_locked(data_dir: &Path) -> bool {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(data_dir.join(LOCK));
    opened.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
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
