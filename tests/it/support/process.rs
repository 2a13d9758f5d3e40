//! Tests that need a second process (to kill it, or to run as somebody else) start this very binary again, on one of the
//! ignored tests that read their orders from the environment.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    io::{BufRead, BufReader, Lines},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use tempfile::TempDir;

/// Who has no rights anywhere.
pub const NOBODY: u32 = 65534;

/// Whether the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A folder in /tmp that everybody may enter. Every PostgreSQL that still works in it when it is dropped, or when the
/// test binary is killed, is ended, and the folder removed.
#[derive(Debug)]
pub struct Scratch {
    folder: Option<TempDir>,
    keeper: Child,
}

/// A file system that a test may have mounted in its [`Scratch`].
pub const SMALL_DISK: &str = "small-disk";

/// $1 = the folder.
const KEEPER: &str = r#"
cat >/dev/null
find "$1" -name postmaster.pid | while read -r file; do
    pid=$(head -n 1 "$file")
    case "$(readlink "/proc/$pid/cwd")" in "$1"/*) kill -QUIT "$pid" ;; esac
done
umount -l "$1/small-disk" 2>/dev/null
while ! rm -rf "$1"; do sleep 0.1; done
"#;

impl Scratch {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("aqua-test-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in("/tmp")
            .expect("a folder in /tmp");
        let keeper = Command::new("/bin/sh")
            .args([
                OsStr::new("-c"),
                OsStr::new(KEEPER),
                OsStr::new("aqua-test-scratch"),
                folder.path().as_os_str(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh");
        Self {
            folder: Some(folder),
            keeper,
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.as_ref().expect("until it is dropped").path()
    }

    /// Lets everybody make files in it, as in /tmp.
    pub fn open_to_everybody(&self) {
        fs::set_permissions(self.path(), Permissions::from_mode(0o1777)).expect("its mode");
    }

    /// A path in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _gone = self.keeper.wait();
        // Gone already; this only forgets it.
        drop(self.folder.take());
    }
}

/// Has another process write a file that is to be run. Written by this one it could not be run at times ("text file
/// busy"): a child that another test forks at that moment has it open for writing until it becomes another program.
pub fn runnable<'a>(program: &str, args: impl IntoIterator<Item = &'a OsStr>) {
    let done = Command::new(program).args(args).status().expect(program);
    assert!(done.success(), "{program}: {done}");
}

/// This binary, started once more. It lives until told otherwise, or until we are gone.
#[derive(Debug)]
pub struct Process {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `test` (its full path) with this environment, as that user when one is given (which only root can do).
    pub fn start(
        test: &str,
        environment: &[(&str, &OsStr)],
        user: Option<u32>,
        scratch: &Scratch,
    ) -> Self {
        let mut program = std::env::current_exe().expect("our own path");
        if user.is_some() {
            // The build's folder may be closed to that user.
            let copy = scratch.join("tests");
            runnable("cp", [program.as_os_str(), copy.as_os_str()]);
            program = copy;
        }
        let mut command = Command::new(program);
        command
            .args(["--exact", test, "--ignored", "--nocapture"])
            .envs(environment.iter().copied())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn().expect("this binary");
        let said = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, said }
    }

    /// The next line it says with [`say`].
    pub fn hear(&mut self) -> String {
        for line in self.said.by_ref() {
            let line = line.expect("its output");
            // libtest's own beginning of a line comes before the first.
            if let Some((_, said)) = line.split_once(SAYS) {
                return said.to_owned();
            }
        }
        panic!("it ended without a word")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Lets it end by itself.
    pub fn release(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.release();
        let _ended = self.child.wait();
    }
}

const SAYS: &str = "aqua-test: ";

/// To [`Process::hear`].
pub fn say(what: &str) {
    println!("{SAYS}{what}");
}

/// Waits, in a [`Process`], for its release.
pub fn wait_for_release() {
    let _end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
