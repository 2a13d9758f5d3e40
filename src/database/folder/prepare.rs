//! Makes the folder, and makes it the account's that PostgreSQL runs as.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::unistd::{Gid, Uid};

use super::files::{CONTROL, LOCK, START_LOG, UNFINISHED, acting, file};
use crate::database::{Account, Error, binaries::Binaries};

/// Makes the folder where it does not exist, and PostgreSQL's own. Gives its path, absolute and without links, and whose it
/// is.
pub(in crate::database) fn prepare(
    data_dir: &Path,
    binaries: &Binaries,
) -> Result<(PathBuf, Account), Error> {
    let data_dir = std::path::absolute(data_dir).map_err(file("find", data_dir))?;
    let account = Account::for_postgres(&data_dir)?;
    // The account's own rights first: often they are enough.
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

/// The same as root, where the account may not: in folders that belong to root alone.
fn make_as_root(data_dir: &Path, account: &Account) -> Result<(), Error> {
    let there = data_dir.ancestors().find(|folder| folder.exists());
    if let Some(there) = there {
        let there = fs::canonicalize(there).map_err(file("find", there))?;
        refuse_others_folders(&there, data_dir, account)?;
    }
    make(data_dir).map_err(file("make", data_dir))
}

/// Gives the account a folder of root's that is empty or holds a cluster.
fn hand_over(path: &Path, account: &Account) -> Result<(), Error> {
    // Or else somebody could put another folder in its place, and be given that one.
    refuse_others_folders(path, path, account)?;
    if !(path.join("PG_VERSION").exists() && path.join(CONTROL).exists()) {
        refuse_strange_files(path)?;
    }
    account.own(path).map_err(file("hand over", path))
}

/// Refuses a path (without links) on which a user other than root could replace a folder.
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

/// Refuses a folder with files in it that a start before its first initdb does not leave.
pub(super) fn refuse_strange_files(path: &Path) -> Result<(), Error> {
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

/// Runs a harmless program as that user in that folder, because mode bits do not tell everything.
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

fn not_ours(path: &Path, found: &fs::Metadata, user: String) -> Error {
    let owner = Account::by_id(Uid::from_raw(found.uid()), Gid::from_raw(found.gid())).name;
    Error::NotOurs {
        data_dir: path.to_path_buf(),
        owner,
        user,
    }
}
