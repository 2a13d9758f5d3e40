use super::file::Section;

/// `[journal]`: for how many days each kind of entry is kept; 0: for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// A line for each batch. It stays at least as long as any order kept of the batch.
    pub keep_batches: u32,
    /// Rejected orders, and accepted ones with remarks, with their bodies.
    pub keep_rejected: u32,
    pub keep_changes: u32,
    /// Most bytes of such bodies kept of a publication and day; what goes beyond is counted.
    pub rejected_bytes_per_day: usize,
}

impl Journal {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let mut days = |key| section.number(key, 0..=36_500);
        let journal = Self {
            keep_batches: days("keep_batches"),
            keep_rejected: days("keep_rejected"),
            keep_changes: days("keep_changes"),
            rejected_bytes_per_day: section.number("rejected_bytes_per_day", 0..=1 << 40),
        };
        section.finish(&[]);
        journal
    }
}
