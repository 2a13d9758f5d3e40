//! The receiver's own data as operators hand it over: a file in, what to store out. Pure, like [`crate::order`].
//!
//! [`table`] reads a file's rows, [`entry`] what they say, [`decide`] what that changes.

use std::fmt;

use crate::order::fault::{Fault, FaultCode, Hint, Language};

pub mod decide;
pub mod entry;
pub mod table;
mod text;

pub use self::text::Text;

/// What a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Products,
    Clients,
    Districts,
    /// Orders that the back office had before they came to us.
    Orders,
}

impl Subject {
    /// Its name on the command line and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Clients => "clients",
            Self::Districts => "districts",
            Self::Orders => "orders",
        }
    }

    #[must_use]
    pub fn columns(self) -> &'static table::Columns {
        match self {
            Self::Products => &entry::PRODUCT,
            Self::Clients => &entry::CLIENT,
            Self::Districts => &entry::DISTRICT,
            Self::Orders => &entry::ORDER,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which line of which kind of file.
    pub subject: Subject,
    /// Counted from 1, the header included.
    pub line: usize,
    /// The column; empty for the line as a whole.
    pub column: String,
    /// What, and where that helps what to write instead.
    pub reason: Text,
}

impl Problem {
    /// A fault that orders have too, in the same words.
    fn of(subject: Subject, line: usize, column: String, code: FaultCode, hint: Hint) -> Self {
        let fault = Fault {
            field: column,
            code,
            hint,
        };
        let reason = Text::new(fault.message(Language::Ru), fault.message(Language::En));
        Self {
            subject,
            line,
            column: fault.field,
            reason,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.column.is_empty() {
            write!(f, "{}: ", self.column)?;
        }
        self.reason.fmt(f)
    }
}

/// What became of the records of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not there before.
    pub new: usize,
    /// There, and now different.
    pub changed: usize,
    /// There, and as the file says.
    pub unchanged: usize,
    /// Not taken, for a line of theirs is bad.
    pub refused: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            new,
            changed,
            unchanged,
            refused,
        } = self;
        write!(
            f,
            "{new} new, {changed} changed, {unchanged} unchanged, {refused} refused"
        )
    }
}

/// The same for every kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub districts: Counts,
    pub products: Counts,
    pub clients: Counts,
    pub orders: Counts,
}

impl Totals {
    pub fn of(&mut self, subject: Subject) -> &mut Counts {
        match subject {
            Subject::Districts => &mut self.districts,
            Subject::Products => &mut self.products,
            Subject::Clients => &mut self.clients,
            Subject::Orders => &mut self.orders,
        }
    }
}
