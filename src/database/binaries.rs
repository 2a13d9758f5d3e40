//! Which of the machine's PostgreSQL programs the private cluster uses.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::Error;

/// The oldest major version that will do.
pub const OLDEST: u32 = 13;

/// Where distributions put the server's programs; `*` is any part of one folder's name.
const USUAL: [&str; 6] = [
    "/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
    "/usr/pgsql-*/bin",                   // PostgreSQL's own packages for Fedora and its kin
    "/usr/libexec/postgresql*",           // Alpine
    "/opt/homebrew/opt/postgresql@*/bin", // macOS, Apple silicon
    "/usr/local/opt/postgresql@*/bin",    // macOS, Intel
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// One set of server programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder that holds `initdb` and `postgres`.
    pub folder: PathBuf,
    pub major: u32,
}

impl Binaries {
    #[must_use]
    pub fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    #[must_use]
    pub fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }
}

/// Finds the server programs: in `AQUA_POSTGRES_BIN` and nowhere else when that is set, otherwise in `PATH`, in the usual
/// folders (newest first), and where `pg_config` points. `data` is the folder of a cluster that exists already and its
/// major version, for only that version can open it.
pub fn find(data: Option<(&Path, u32)>) -> Result<Binaries, Error> {
    let folders = match env::var_os("AQUA_POSTGRES_BIN").filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![PathBuf::from(folder)],
        None => candidates(),
    };
    let mut looked = Vec::new();
    let mut usable = Vec::new();
    for folder in folders {
        match version(&folder) {
            Ok(major) if major >= OLDEST => usable.push(Binaries { folder, major }),
            Ok(major) => looked.push(format!("{} (version {major} is too old)", folder.display())),
            Err(why) => looked.push(format!("{}{why}", folder.display())),
        }
    }
    let found = match data {
        Some((_, major)) => usable.iter().find(|binaries| binaries.major == major),
        None => usable.first(),
    };
    match (found, data) {
        (Some(found), _) => Ok(found.clone()),
        (None, Some((data_dir, data))) if !usable.is_empty() => Err(Error::WrongMajor {
            data_dir: data_dir.to_path_buf(),
            data,
            found: usable
                .iter()
                .map(|found| format!("{} in {}", found.major, found.folder.display()))
                .collect::<Vec<_>>()
                .join(", "),
        }),
        (None, _) => Err(Error::NoBinaries {
            oldest: OLDEST,
            looked: looked.join(", "),
        }),
    }
}

fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // An empty part of PATH means the current folder, from which no program should be taken.
    let mut folders: Vec<PathBuf> = env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .collect();
    for pattern in USUAL {
        folders.extend(newest_first(pattern));
    }
    if let Ok(said) = Command::new("pg_config")
        .arg("--bindir")
        .stderr(Stdio::null())
        .output()
        && said.status.success()
    {
        folders.push(PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    }
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

/// The folders that match a pattern with one `*`, highest number in the star's place first; where none exists, the
/// pattern itself, so that the message names it.
fn newest_first(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry
                .file_name()
                .to_str()?
                .strip_prefix(prefix)?
                .parse()
                .ok()?;
            Some((
                number,
                PathBuf::from(format!("{}{after}", entry.path().display())),
            ))
        })
        .collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    if found.is_empty() {
        vec![PathBuf::from(pattern)]
    } else {
        found.into_iter().map(|(_, folder)| folder).collect()
    }
}

/// The major version of the programs in a folder, or what is wrong with them (nothing when there are none).
fn version(folder: &Path) -> Result<u32, String> {
    let (initdb, postgres) = (folder.join("initdb"), folder.join("postgres"));
    match (initdb.exists(), postgres.exists()) {
        (true, true) => {}
        (false, false) => return Err(String::new()),
        _ => return Err(" (has only one of initdb and postgres)".to_owned()),
    }
    let said = Command::new(&postgres)
        .arg("--version")
        .output()
        .map_err(|error| format!(" ({error})"))?;
    // "postgres (PostgreSQL) 15.6 (Debian 15.6-0+deb12u1)", "postgres (PostgreSQL) 17beta1"
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    said.split("(PostgreSQL) ")
        .nth(1)
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| format!(" (its version is unclear: {said:?})"))
}
