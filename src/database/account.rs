//! As whom PostgreSQL runs. It refuses root, so a service that was started as root hands it to somebody else.

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
    /// Its user id.
    pub uid: u32,
    /// Its main group.
    pub gid: u32,
}

impl Account {
    /// Who PostgreSQL runs as on `folder`, which need not exist: ourselves; for root, the folder's owner, else
    /// `postgres`, else `nobody`.
    ///
    /// # Errors
    /// [`Error::NoAccount`] for root on a machine without any of them.
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
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            })
            .ok_or(Error::NoAccount)
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

    /// A command that runs as this account, in `folder`, outside the terminal's process group (Ctrl-C means the
    /// service, which stops PostgreSQL itself when it has finished), and without our environment: `PGPORT`, `PGDATA`
    /// and their kin would change what PostgreSQL does.
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

    /// Hands a file or folder that we made to this account.
    ///
    /// # Errors
    /// What the system says.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        if self.is_another() {
            std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
        } else {
            Ok(())
        }
    }
}
