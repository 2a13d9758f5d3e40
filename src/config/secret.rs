use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// A text that must never be printed: a password or a URL that holds one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text so that `Debug` hides it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The first line of a file: Docker hands over its secrets like that.
    pub(super) fn from_file(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        match text.lines().next().map(str::trim) {
            None | Some("") => Err(format!(
                "there is nothing on the first line of {}",
                path.display()
            )),
            Some(secret) => Ok(Self::new(secret)),
        }
    }
}

/// A secret in a file that may get another one while the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    path: PathBuf,
    at_start: Secret,
}

impl SecretFile {
    /// # Errors
    /// As [`SecretFile::read`].
    pub fn open(path: PathBuf) -> Result<Self, String> {
        let at_start = Secret::from_file(&path)?;
        Ok(Self { path, at_start })
    }

    /// As it was when the settings were read.
    #[must_use]
    pub fn at_start(&self) -> &Secret {
        &self.at_start
    }

    /// As it is now.
    ///
    /// # Errors
    /// In words, when the file cannot be read or says nothing.
    pub fn read(&self) -> Result<Secret, String> {
        Secret::from_file(&self.path)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
