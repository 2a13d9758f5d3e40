//! What a record has many of. A copy of the record shares it until one of the two changes it: a client may have
//! thousands of addresses, and hardly an order changes any of them.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// A list shorter than this is written into an answer faster than its text is kept.
const LONG: usize = 16;

/// A list, shared by its copies. Changing one takes it out of the others first.
#[derive(Debug, Clone)]
pub struct List<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    items: Vec<T>,
    answered: OnceLock<Option<Box<RawValue>>>,
}

impl<T> List<T> {
    /// How a long list looks in an answer, made at most once for all its copies; `None` where it is short.
    pub(super) fn answered<A: Serialize>(&self, answer: impl FnOnce() -> A) -> Option<&RawValue> {
        if self.len() < LONG {
            return None;
        }
        let answered = self.0.answered.get_or_init(|| to_raw_value(&answer()).ok());
        answered.as_deref()
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self(Arc::new(Shared {
            items,
            answered: OnceLock::new(),
        }))
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Vec::from_iter(items).into()
    }
}

impl<T> Deref for List<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0.items
    }
}

impl<T: Clone> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        let shared = Arc::make_mut(&mut self.0);
        // It will look otherwise.
        shared.answered = OnceLock::new();
        &mut shared.items
    }
}

impl<T: Clone> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self {
            items: self.items.clone(),
            answered: OnceLock::new(),
        }
    }
}

impl<T: Eq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.items == other.0.items
    }
}

impl<T: Eq> Eq for List<T> {}

impl<'l, T> IntoIterator for &'l List<T> {
    type Item = &'l T;
    type IntoIter = std::slice::Iter<'l, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_changes_leaves_the_others_as_they_are() {
        let first: List<usize> = (0..3).collect();
        let mut second = first.clone();
        assert_eq!(first, second);
        second.push(3);
        assert_eq!((first.len(), second.len()), (3, 4));
        assert_ne!(first, second);
        assert_eq!(second.pop(), Some(3));
        assert_eq!(
            first, second,
            "of the same content, though no longer shared"
        );
    }

    #[test]
    fn a_changed_list_is_answered_anew() {
        let mut list: List<usize> = (0..LONG).collect();
        let answered = |list: &List<usize>| {
            let raw = list.answered(|| list.to_vec());
            raw.map(|raw| serde_json::from_str::<Vec<usize>>(raw.get()).expect("a list"))
        };
        assert_eq!(answered(&list), Some((0..LONG).collect()));
        let copy = list.clone();
        list[0] = 9;
        assert_eq!(answered(&list).map(|list| list[0]), Some(9));
        assert_eq!(answered(&copy).map(|list| list[0]), Some(0));
        list.truncate(LONG - 1);
        assert_eq!(answered(&list), None);
    }
}
