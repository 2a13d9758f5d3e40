//! The disk under the private cluster.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::statvfs::statvfs;
use parking_lot::Mutex;

/// Bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Free for us.
    pub free: u64,
    pub size: u64,
}

impl Disk {
    /// With less free, and less than an eighth of the whole, space is [`Space::Scarce`].
    const SCARCE: u64 = 1024 * 1024 * 1024;
    /// With less free, and less than a sixteenth of the whole, the disk is [`Space::Full`].
    const FULL: u64 = 256 * 1024 * 1024;

    /// How far the free space goes.
    #[must_use]
    pub fn space(self) -> Space {
        if self.free < Self::FULL.min(self.size / 16) {
            Space::Full
        } else if self.free < Self::SCARCE.min(self.size / 8) {
            Space::Scarce
        } else {
            Space::Enough
        }
    }

    /// The disk where that folder is, or will be. `None` where the system does not tell.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        let absolute = std::path::absolute(folder).ok()?;
        let there = absolute.ancestors().find(|folder| folder.exists())?;
        let disk = statvfs(there).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
        Some(Self {
            free: bytes(disk.blocks_available()),
            size: bytes(disk.blocks()),
        })
    }
}

/// How far the free space of a disk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// For everything.
    Enough,
    /// For orders: what is rejected is not kept any more, and an operator should be told.
    Scarce,
    /// For nothing: PostgreSQL needs the rest to stay alive, so batches are answered 503.
    Full,
}

/// Looks at a folder's disk, but not each time it is asked.
#[derive(Debug)]
pub struct DiskWatch {
    folder: PathBuf,
    last: Mutex<Option<(Instant, Space)>>,
}

impl DiskWatch {
    /// A reading this fresh is used again.
    const FRESH: Duration = Duration::from_millis(200);

    /// The disk where that folder is.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            last: Mutex::default(),
        }
    }

    /// What is left; enough where the system does not tell.
    pub fn space(&self) -> Space {
        // Nothing under this lock can leave it half changed.
        let mut last = self.last.lock();
        match *last {
            Some((at, space)) if at.elapsed() < Self::FRESH => space,
            _ => {
                let space = Disk::of(&self.folder).map_or(Space::Enough, Disk::space);
                *last = Some((Instant::now(), space));
                space
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserves_are_a_gigabyte_and_a_quarter_of_one_and_less_on_a_small_disk() {
        const MIB: u64 = 1024 * 1024;
        for (free, size, space) in [
            (2000, 100_000, Space::Enough),
            (1000, 100_000, Space::Scarce),
            (255, 100_000, Space::Full),
            (13, 100, Space::Enough),
            (12, 100, Space::Scarce),
            (5, 100, Space::Full),
        ] {
            let disk = Disk {
                free: free * MIB,
                size: size * MIB,
            };
            assert_eq!(disk.space(), space, "{free} of {size} MiB");
        }
    }
}
