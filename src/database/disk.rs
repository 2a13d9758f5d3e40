//! The disk under the private cluster.

use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Bytes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Free for us.
    pub free: u64,
    /// In all.
    pub size: u64,
}

impl Disk {
    /// With less free an operator should be told.
    pub const SCARCE: u64 = 1024 * 1024 * 1024;
    /// With less free PostgreSQL may stop at any moment.
    pub const FULL: u64 = 64 * 1024 * 1024;

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
