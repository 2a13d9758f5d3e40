//! Makes a cluster in the folder, so that a kill at any moment leaves a complete one or none.

use std::{
    fs::{self, File},
    io,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use super::{
    Folder,
    files::{CONTROL, FINISHED, UNFINISHED, acting, file, last_lines},
    prepare::refuse_strange_files,
};
use crate::database::{Error, binaries::Binaries};

impl Folder {
    /// Makes a complete cluster where there is none. initdb works in a folder of its own inside this one, and what it made
    /// is moved up with `PG_VERSION` last: whatever the moment of a kill, the next start knows where it stands, never
    /// removes anything but an unfinished initdb's work, and needs no rights on the folder above (it may be a mount).
    pub(in crate::database) async fn initialise(&self, binaries: &Binaries) -> Result<(), Error> {
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
