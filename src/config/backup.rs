use std::{path::PathBuf, time::Duration};

use super::{environment::Environment, file::Section};

/// `[backup]`: where backups are looked for. Somebody else makes them (`deploy/backup.sh`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Their folder; overridden by `AQUA_BACKUP_FOLDER`. `None`: nobody looks.
    pub folder: Option<PathBuf>,
    /// How old the newest may become.
    pub max_age: Duration,
}

impl Backup {
    pub(super) fn read(mut section: Section<'_>, environment: &Environment) -> Self {
        let folder = section
            .text("folder")
            .filter(|folder| !folder.value.is_empty())
            .map(|folder| section.problems.beside(folder.value));
        // Days, where all other times are less than one.
        let max_age = section.seconds_up_to("max_age", 366 * 86_400);
        section.finish(&[]);
        Self {
            folder: environment.backup_folder.clone().or(folder),
            max_age,
        }
    }
}
