//! The server that works on the folder, whoever started it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{sys::signal::kill, unistd::Pid};

use super::files::read;

/// A postmaster that works on the folder.
#[derive(Debug)]
pub(in crate::database) struct Running {
    pub pid: Pid,
    /// The folder it listens in; `None` until it has written that down.
    pub socket: Option<PathBuf>,
}

/// The postmaster that works on `data_dir`, an absolute path without links. postmaster.pid outlives its writer after a
/// kill or a power cut, and its number may belong to anybody by then, so it is believed only together with the process.
pub(in crate::database) fn postmaster(data_dir: &Path) -> Option<Running> {
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
pub(in crate::database) fn is_postmaster(pid: Pid, data_dir: &Path) -> bool {
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
