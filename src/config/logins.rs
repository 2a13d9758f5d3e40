use std::time::Duration;

use super::file::Section;

/// `[logins]`: how wrong passwords are slowed down, per address and per login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logins {
    /// So many wrong ones cost nothing.
    pub free_failures: u32,
    /// The pause between two tries doubles with each wrong one, up to this.
    pub longest_pause: Duration,
    /// After so long without a wrong one all is forgotten.
    pub forget: Duration,
}

impl Logins {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let logins = Self {
            free_failures: section.number("free_failures", 0..=1_000_000),
            longest_pause: section.seconds("longest_pause"),
            forget: section.seconds("forget"),
        };
        section.finish(&[]);
        logins
    }
}
