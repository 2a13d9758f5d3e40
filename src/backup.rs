//! How old the newest backup is. Others make them (`deploy/backup.sh`); the service only says when they stopped.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::config;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    pub path: PathBuf,
    /// How long ago it was finished.
    pub age: Duration,
}

/// The newest backup in `folder`; `None` where there is none. Whatever the program that makes them calls them, a backup
/// is a file that is not empty and not hidden: hidden ones are not finished yet. Folders inside do not count, for one
/// with WAL is written to all the time.
pub fn newest(folder: &Path) -> io::Result<Option<Newest>> {
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_bytes().starts_with(b".") {
            continue;
        }
        // One that is removed at this moment, because it is too old, is none.
        let Ok(found) = fs::metadata(entry.path()) else {
            continue;
        };
        if !found.is_file() || found.len() == 0 {
            continue;
        }
        let made = found.modified()?;
        if newest.as_ref().is_none_or(|(known, _)| *known < made) {
            newest = Some((made, entry.path()));
        }
    }
    Ok(newest.map(|(made, path)| Newest {
        path,
        // A clock that was put back makes it new, not an error.
        age: made.elapsed().unwrap_or_default(),
    }))
}

/// The metric `aqua_backup_age_seconds`: seconds since the newest backup; without end where there is none or its folder
/// cannot be read; `None` where the settings name no folder.
pub fn age_seconds(settings: &config::Backup) -> Option<f64> {
    let folder = settings.folder.as_ref()?;
    let newest = newest(folder).ok().flatten();
    Some(newest.map_or(f64::INFINITY, |newest| newest.age.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: Option<&Path>) -> config::Backup {
        config::Backup {
            folder: folder.map(Path::to_owned),
            max_age: Duration::from_hours(26),
        }
    }

    #[test]
    fn the_newest_whole_file_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str, age: Duration| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file");
            let file = fs::File::open(&path).expect("the file");
            file.set_modified(SystemTime::now() - age)
                .expect("its time");
        };
        let hours = Duration::from_hours;
        assert_eq!(newest(folder.path()).expect("a look"), None);
        assert_eq!(
            age_seconds(&settings(Some(folder.path()))),
            Some(f64::INFINITY)
        );

        put("monday.dump", "x", hours(48));
        put("tuesday.dump", "x", hours(24));
        // None of these is a backup: not finished, empty, the WAL.
        put(".wednesday.dump.part", "x", hours(1));
        put("wednesday.dump", "", hours(1));
        fs::create_dir(folder.path().join("wal")).expect("a folder");
        let found = newest(folder.path()).expect("a look").expect("a backup");
        assert_eq!(found.path, folder.path().join("tuesday.dump"));
        assert!(found.age >= hours(24) && found.age < hours(25), "{found:?}");
        let age = age_seconds(&settings(Some(folder.path()))).expect("an age");
        assert!((86_400.0..90_000.0).contains(&age), "{age}");

        let file = fs::File::open(folder.path().join("monday.dump")).expect("the file");
        file.set_modified(SystemTime::now() + hours(1))
            .expect("its time");
        let found = newest(folder.path()).expect("a look").expect("a backup");
        assert_eq!(found.age, Duration::ZERO, "made in the future");
    }

    #[test]
    fn no_folder_has_no_age_and_one_that_cannot_be_read_an_endless_one() {
        assert_eq!(age_seconds(&settings(None)), None);
        let missing = Path::new("/nonexistent/backups");
        assert_eq!(age_seconds(&settings(Some(missing))), Some(f64::INFINITY));
        assert!(newest(missing).is_err());
    }
}
