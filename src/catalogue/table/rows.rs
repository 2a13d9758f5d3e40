//! What a file may say, the rows that it has, and what makes it unreadable.

use std::collections::BTreeMap;

use crate::catalogue::Problem;

#[derive(Debug)]
pub struct Columns {
    /// Columns of the record itself.
    pub plain: &'static [&'static str],
    /// Columns of what belongs to it: `group.column` in CSV, an object or a list of objects in JSON.
    pub groups: &'static [Group],
    /// One of these tells which record is meant.
    pub keys: &'static [&'static str],
}

/// Columns that go together.
#[derive(Debug)]
pub struct Group {
    /// The word before the dot.
    pub name: &'static str,
    /// The words behind it.
    pub columns: &'static [&'static str],
    /// A record may have several; in CSV each of its lines brings one.
    pub many: bool,
}

impl Columns {
    /// Every column as a header spells it.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let plain = self.plain.iter().map(ToString::to_string);
        plain.chain(self.groups.iter().flat_map(|group| {
            group
                .columns
                .iter()
                .map(|column| format!("{}.{column}", group.name))
        }))
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unreadable {
    /// `PK…`
    #[error("this is an Excel workbook or an archive: save it as CSV (UTF-8) and import that")]
    Workbook,
    /// Neither UTF-8 nor Windows-1251.
    #[error("broken UTF-8 on line {0}: save the file anew as UTF-8 or Windows-1251")]
    BadEncoding(usize),
    #[error("the file is empty: its first line must name the columns")]
    Empty,
    /// A column or a key that means nothing to us: its data would be lost without a word.
    #[error("unknown {0}")]
    UnknownColumn(String),
    #[error("the column {0} stands there twice")]
    DoubledColumn(String),
    /// No column tells which record is meant.
    #[error("no column tells which record is meant: one of {0} is needed")]
    NoKey(String),
    /// An opening quote without its closing one: what follows is no longer told apart.
    #[error("a quote is opened on line {0} and never closed")]
    OpenQuote(usize),
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON of another form.
    #[error(
        "an array of objects is expected, as in [{{\"number\": 1}}]; line {0} has something else"
    )]
    NotObjects(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An empty cell, `null` or `""`.
    Null,
    /// `true` or `false` of JSON.
    Bool(bool),
    /// A number of JSON, as written.
    Number(String),
    /// A cell of CSV, without spaces around it, or a text of JSON.
    Text(String),
    /// A text with a NUL or a lone surrogate.
    BadText,
    List(Vec<Value>),
    /// What belongs together.
    Object(Row),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it starts in the file, from 1.
    pub line: usize,
    /// The group's name; empty for the row itself.
    pub group: &'static str,
    pub(super) cells: BTreeMap<&'static str, Value>,
}

impl Row {
    /// The value of a column; `None` when the file does not have the column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.cells.get(column)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Rows {
    pub rows: Vec<Row>,
    /// Lines that are no rows.
    pub problems: Vec<Problem>,
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The line of a byte, from 1.
pub(super) fn line_at(bytes: &[u8], at: usize) -> usize {
    // As many lines as there are line ends before it, and the one it is in.
    bytes[..at].split(|b| *b == b'\n').count()
}

/// Says which name was probably meant, or else which there are.
pub(super) fn unknown(place: &str, name: &str, known: impl Iterator<Item = String>) -> Unreadable {
    let known: Vec<String> = known.collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::levenshtein(name, known), known))
        .min();
    Unreadable::UnknownColumn(match nearest {
        Some((distance, nearest)) if distance <= 2.max(name.chars().count() / 3) => {
            format!("{place} \"{name}\": did you mean {nearest}?")
        }
        _ => format!("{place} \"{name}\": there are {}", known.join(", ")),
    })
}
