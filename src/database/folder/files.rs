//! Names in the folder, and how its files are read and removed: with the account's rights, and through no link.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::fcntl::OFlag;

use crate::database::{Account, Error};

/// Held, by an exclusive lock, as long as a service works on the folder.
pub(super) const LOCK: &str = "aqua-orders.lock";
/// What postgres says before its own log starts; begun anew at every start.
pub(super) const START_LOG: &str = "start.log";
/// A file that every complete cluster has.
pub(super) const CONTROL: &str = "global/pg_control";
/// A cluster that initdb is working on; the process id follows.
pub(super) const UNFINISHED: &str = "initdb.unfinished-";
/// A cluster that initdb has finished and that is being moved into place.
pub(super) const FINISHED: &str = "initdb.finished";

/// With the account's rights on files and no others.
pub(super) fn acting<T: Send>(
    account: &Account,
    work: impl FnOnce() -> T + Send,
) -> Result<T, Error> {
    account.acting(work).map_err(|source| Error::NotActing {
        user: account.name.clone(),
        source,
    })
}

/// The last MiB of a file, as text. Refuses links, and what never ends, such as a pipe.
pub(super) fn read(path: &Path) -> io::Result<String> {
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

pub(super) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        _ => Ok(()),
    }
}

pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

pub(super) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |source| Error::File { what, path, source }
}
