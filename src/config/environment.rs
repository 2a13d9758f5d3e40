use std::{env, path::PathBuf};

use super::secret::Secret;

/// What the environment says: it overrides the file.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub database_url: Option<Secret>,
    /// `DATABASE_URL_FILE`: a file with the same.
    pub database_url_file: Option<PathBuf>,
    pub listen: Option<String>,
    pub operator_listen: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub backup_folder: Option<PathBuf>,
    /// Makes an operator `admin` of the console with that password hash.
    pub console_password_hash: Option<Secret>,
}

impl Environment {
    /// This process's. An empty variable counts as none: compose files often set those.
    pub fn of_process() -> Self {
        let text = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            database_url: text("DATABASE_URL").map(Secret::new),
            database_url_file: text("DATABASE_URL_FILE").map(PathBuf::from),
            listen: text("AQUA_LISTEN"),
            operator_listen: text("AQUA_OPERATOR_LISTEN"),
            data_dir: text("AQUA_DATA_DIR").map(PathBuf::from),
            backup_folder: text("AQUA_BACKUP_FOLDER").map(PathBuf::from),
            console_password_hash: text("AQUA_CONSOLE_PASSWORD_HASH").map(Secret::new),
        }
    }
}
