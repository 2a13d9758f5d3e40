use std::time::Duration;

use super::file::Table;

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
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let logins = Self {
            free_failures: table.number("free_failures", 0..=1_000_000),
            longest_pause: table.seconds("longest_pause"),
            forget: table.seconds("forget"),
        };
        table.finish(&[]);
        logins
    }
}
