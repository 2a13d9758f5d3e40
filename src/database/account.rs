//! The user that PostgreSQL runs as. PostgreSQL refuses root, so a service started as root runs it as another user, and then
//! becomes that user for good. Root's rights never touch that user's files: there may be a link among them.

use std::{
    fs, io, os::unix::fs::MetadataExt, os::unix::process::CommandExt, path::Path, process::Command,
};

use nix::unistd::{Gid, Uid, User, geteuid};

use super::Error;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, or its number where it has none.
    pub name: String,
    pub uid: u32,
    /// Its main group.
    pub gid: u32,
}

impl Account {
    /// Who PostgreSQL runs as on `folder`, which need not exist: ourselves; for root, the folder's owner, else
    /// `postgres`. Never `nobody`: programs without an account of their own share it.
    pub fn for_postgres(folder: &Path) -> Result<Self, Error> {
        let ourselves = geteuid();
        if !ourselves.is_root() {
            return Ok(Self::by_id(ourselves, nix::unistd::getegid()));
        }
        // A cluster that an ordinary user made stays theirs when root starts the service once.
        if let Ok(owner) = fs::metadata(folder)
            && owner.uid() != 0
        {
            return Ok(Self::by_id(
                Uid::from_raw(owner.uid()),
                Gid::from_raw(owner.gid()),
            ));
        }
        Self::named("postgres").ok_or(Error::NoAccount)
    }

    /// The user of that name, unless it is root by another name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let user = User::from_name(name).ok().flatten()?;
        (!user.uid.is_root()).then(|| Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        })
    }

    /// The user with this number; `gid` is taken only when the machine's user list does not know it.
    #[must_use]
    pub fn by_id(uid: Uid, gid: Gid) -> Self {
        match User::from_uid(uid).ok().flatten() {
            Some(user) => Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            },
            None => Self {
                name: uid.to_string(),
                uid: uid.as_raw(),
                gid: gid.as_raw(),
            },
        }
    }

    /// Whether a child has to change to this account, which only root can do.
    #[must_use]
    pub fn is_another(&self) -> bool {
        self.uid != geteuid().as_raw()
    }

    /// A command that runs as this account, in `folder`, outside the terminal's process group (Ctrl-C is for
    /// the service, which stops PostgreSQL itself when it has finished), and without our environment: `PGPORT`, `PGDATA`
    /// and the like would change what PostgreSQL does.
    #[must_use]
    pub fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .process_group(0)
            .env_clear()
            .env("LC_ALL", "C");
        for kept in ["PATH", "TZ", "TZDIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        if self.is_another() {
            // std drops root's supplementary groups together with the uid.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Hands a file or folder to this account. Only where nobody but root can put another one in its place.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        if self.is_another() {
            std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
        } else {
            Ok(())
        }
    }

    /// Does `work` on files with this account's rights and no others: new files belong to the account, and a link
    /// leads nowhere that the account may not go.
    pub fn acting<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        if !self.is_another() {
            return Ok(work());
        }
        // A thread of its own, for on Linux each has its own rights on files. It ends with the work.
        std::thread::scope(|scope| {
            let acting = std::thread::Builder::new().spawn_scoped(scope, || {
                change::rights_on_files(self)?;
                Ok(work())
            })?;
            acting
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Becomes this account, with all threads and for good.
    pub fn become_for_good(&self) -> io::Result<()> {
        if self.is_another() {
            change::for_good(self)?;
        }
        Ok(())
    }
}

/// How a process changes to another account.
#[cfg(target_os = "linux")]
mod change {
    use std::{ffi::CString, io};

    use nix::{
        errno::Errno,
        unistd::{Gid, Uid, initgroups, setfsgid, setfsuid, setgid, setgroups, setuid},
    };

    use super::Account;

    /// Of this thread. Root's capabilities on files go with them.
    pub(super) fn rights_on_files(account: &Account) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        // Groups belong to the whole process, and root needs none.
        setgroups(&[])?;
        setfsgid(gid);
        setfsuid(uid);
        // These calls return the id before, not whether they succeeded.
        if (setfsgid(gid), setfsuid(uid)) != (gid, uid) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(())
    }

    pub(super) fn for_good(account: &Account) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        initgroups(&CString::new(account.name.as_str())?, gid)?;
        setgid(gid)?;
        setuid(uid)?;
        if setuid(Uid::from_raw(0)) != Err(Errno::EPERM) {
            return Err(io::Error::other("root's rights would not go"));
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod change {
    use std::io;

    use super::Account;

    pub(super) fn rights_on_files(_: &Account) -> io::Result<()> {
        Err(io::Error::other(
            "only on Linux may root run it; start it as an ordinary user",
        ))
    }

    pub(super) fn for_good(account: &Account) -> io::Result<()> {
        rights_on_files(account)
    }
}
