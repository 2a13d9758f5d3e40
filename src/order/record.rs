//! A record before and after a batch.

use std::sync::Arc;

/// An order or a client before and after the batch.
#[derive(Debug)]
pub struct Record<'a, T> {
    /// As stored; `None` for a new one.
    pub before: Option<&'a Arc<T>>,
    /// As it is to be; the stored one itself while nothing of it has changed.
    pub after: Arc<T>,
}

impl<'a, T: PartialEq> Record<'a, T> {
    pub(super) fn stored(stored: &'a Arc<T>) -> Self {
        Self {
            before: Some(stored),
            after: Arc::clone(stored),
        }
    }

    pub(super) fn new(record: T) -> Self {
        Self {
            before: None,
            after: Arc::new(record),
        }
    }

    /// Its version once this is stored; `version` tells that of a stored one.
    #[must_use]
    pub fn version(&self, version: impl Fn(&T) -> i32) -> i32 {
        let stored = self.before.map_or(0, |before| version(before));
        stored + i32::from(!self.is_unchanged())
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.before
            .is_some_and(|before| Arc::ptr_eq(before, &self.after) || *before == self.after)
    }
}
