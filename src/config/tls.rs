use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use super::file::Section;

/// `tls`: its files, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Tls {
    /// `None` where `tls` does not stand in the file.
    pub(super) fn read(root: &mut Section<'_>) -> Option<Self> {
        let is_wanted = root.at("tls").is_some();
        let mut section = root.section("tls");
        let mut file = |key| {
            section
                .text(key)
                .map(|file| section.problems.beside(file.value))
        };
        let (cert, key) = (file("cert"), file("key"));
        let tls = cert.zip(key).map(|(cert, key)| Self { cert, key });
        if is_wanted && tls.is_none() {
            section.problems.add(
                section.at,
                "`tls` needs both files: tls = { cert = \"fullchain.pem\", key = \"privkey.pem\" }",
            );
        }
        section.finish(&[]);
        tls
    }

    /// Whether the key can be read by others than its owner.
    pub(super) fn key_is_open(&self) -> bool {
        fs::metadata(&self.key).is_ok_and(|found| found.mode() & 0o077 != 0)
    }
}
