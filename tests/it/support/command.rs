//! The program itself, started as an operator starts it.

use std::{fs, path::Path, path::PathBuf};

use tempfile::TempDir;

use super::postgres::TestDatabase;

/// One publication, as the document has it.
const SETTINGS: &str = r#"
[[publication]]
name = "demodelivery"
aliases = ["demodelivery_web"]
anonymous = true
loyalty_system_is_active = true
"#;

/// A folder with settings for a database, and the program to run there.
pub struct Operator {
    folder: TempDir,
    database_url: String,
}

/// What the program said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Operator {
    /// With the publication `demodelivery` alone.
    pub fn of(database: &TestDatabase) -> Self {
        let operator = Self {
            folder: tempfile::tempdir().unwrap(),
            database_url: database.url(),
        };
        operator.settings(SETTINGS);
        operator
    }

    /// With that in the settings file.
    pub fn settings(&self, text: &str) {
        self.file("settings.toml", text.as_bytes());
    }

    /// Puts a file there.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs the program.
    pub async fn run<I: IntoIterator<Item = A>, A: AsRef<std::ffi::OsStr>>(&self, args: I) -> Said {
        self.run_with_editor("false", args).await
    }

    /// Runs the program, which opens files in that editor.
    pub async fn run_with_editor<I: IntoIterator<Item = A>, A: AsRef<std::ffi::OsStr>>(
        &self,
        editor: &str,
        args: I,
    ) -> Said {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_aqua-orders"))
            .args(args)
            .current_dir(self.folder.path())
            .env("DATABASE_URL", &self.database_url)
            .env("AQUA_CONFIG", self.folder.path().join("settings.toml"))
            .env("EDITOR", editor)
            .env_remove("VISUAL")
            .env_remove("AQUA_LISTEN")
            .env_remove("AQUA_OPERATOR_LISTEN")
            .env_remove("AQUA_DATA_DIR")
            .env_remove("AQUA_BACKUP_FOLDER")
            .output()
            .await
            .unwrap();
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Imports a file for `demodelivery`.
    pub async fn import(&self, what: &str, file: &Path, more: &[&str]) -> Said {
        let path = file.to_str().unwrap();
        let args = ["import", what, path, "--publication", "demodelivery"];
        self.run(args.iter().chain(more)).await
    }

    /// Imports a text, which must be taken; gives what was printed.
    pub async fn imported(&self, what: &str, text: &str) -> String {
        let file = self.file("import", text.as_bytes());
        self.import(what, &file, &[]).await.done()
    }
}

impl Said {
    /// It was done; gives what was printed.
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// It was refused; gives why.
    pub fn refused(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        self.stderr
    }
}
