//! A field as it came: absent, "nothing", or a value (contract §3, §5).

/// A field that need not come: absent keeps what is stored, null clears it (contract §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent<T> {
    /// Not there: the stored value stays.
    Absent,
    /// It says "nothing" (contract §3): the stored value goes.
    Null,
    /// The new value.
    Value(T),
}

impl<T: Clone> Sent<T> {
    /// The value after this was applied to the stored one.
    pub fn apply(&self, stored: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *stored = None,
            Self::Value(value) => *stored = Some(value.clone()),
        }
    }

    /// As [`Self::apply`], for fields that fall back to a default.
    pub fn apply_or(&self, stored: &mut T, default: T) {
        match self {
            Self::Absent => {}
            Self::Null => *stored = default,
            Self::Value(value) => *stored = value.clone(),
        }
    }

    /// The value after this was applied to the stored one, of a field that falls back to a default.
    pub fn applied<'s>(&'s self, stored: &'s T, default: &'s T) -> &'s T {
        match self {
            Self::Absent => stored,
            Self::Null => default,
            Self::Value(value) => value,
        }
    }

    /// Whether [`Self::apply`] would change the stored value.
    pub fn changes(&self, stored: Option<&T>) -> bool
    where
        T: PartialEq,
    {
        match self {
            Self::Absent => false,
            Self::Null => stored.is_some(),
            Self::Value(value) => stored != Some(value),
        }
    }

    /// Whether [`Self::apply_or`] would change the stored value.
    pub fn changes_or(&self, stored: &T, default: &T) -> bool
    where
        T: PartialEq,
    {
        self.applied(stored, default) != stored
    }

    /// The value, if one came.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// The same, to look at.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}
