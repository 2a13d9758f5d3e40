//! What a file may say, the rows that it has, and what makes it unreadable.

use std::{collections::BTreeMap, fmt};

use crate::{
    catalogue::{Problem, Text},
    order::fault::Language,
};

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

#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// `PK…`
    Workbook,
    /// Neither UTF-8 nor Windows-1251.
    BadEncoding(usize),
    Empty,
    /// A column or a key that means nothing to us: its data would be lost without a word.
    UnknownColumn(Text),
    DoubledColumn(String),
    /// No column tells which record is meant.
    NoKey(String),
    /// An opening quote without its closing one: what follows is no longer told apart.
    OpenQuote(usize),
    NotJson(Text),
    /// JSON of another form.
    NotObjects(usize),
}

impl Unreadable {
    #[must_use]
    pub fn text(&self) -> Text {
        match self {
            Self::Workbook => Text::new(
                "это книга Excel или архив: сохраните её как CSV (UTF-8) и загрузите его",
                "this is an Excel workbook or an archive: save it as CSV (UTF-8) and import that",
            ),
            Self::BadEncoding(line) => Text::new(
                format!(
                    "в строке {line} испорчен UTF-8: сохраните файл заново как UTF-8 или Windows-1251"
                ),
                format!("broken UTF-8 on line {line}: save the file anew as UTF-8 or Windows-1251"),
            ),
            Self::Empty => Text::new(
                "файл пуст: первая строка должна называть столбцы",
                "the file is empty: its first line must name the columns",
            ),
            Self::UnknownColumn(which) => Text::new(
                format!("неизвестно: {}", which.in_language(Language::Ru)),
                format!("unknown {which}"),
            ),
            Self::DoubledColumn(name) => Text::new(
                format!("столбец {name} есть дважды"),
                format!("the column {name} stands there twice"),
            ),
            Self::NoKey(keys) => Text::new(
                format!("ни один столбец не говорит, что за запись: нужен один из {keys}"),
                format!("no column tells which record is meant: one of {keys} is needed"),
            ),
            Self::OpenQuote(line) => Text::new(
                format!("кавычка открыта в строке {line} и не закрыта"),
                format!("a quote is opened on line {line} and never closed"),
            ),
            Self::NotJson(why) => Text::new(
                format!("не JSON: {}", why.in_language(Language::Ru)),
                format!("not JSON: {why}"),
            ),
            Self::NotObjects(line) => Text::new(
                format!(
                    "ожидается массив объектов, например [{{\"number\": 1}}]; в строке {line} другое"
                ),
                format!(
                    "an array of objects is expected, as in [{{\"number\": 1}}]; line {line} has something else"
                ),
            ),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

impl std::error::Error for Unreadable {}

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
pub(super) fn unknown(place: &Text, name: &str, known: impl Iterator<Item = String>) -> Unreadable {
    let known: Vec<String> = known.collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::levenshtein(name, known), known))
        .min();
    let (ru, en) = match nearest {
        Some((distance, nearest)) if distance <= 2.max(name.chars().count() / 3) => (
            format!("может быть, {nearest}?"),
            format!("did you mean {nearest}?"),
        ),
        _ => (
            format!("есть {}", known.join(", ")),
            format!("there are {}", known.join(", ")),
        ),
    };
    Unreadable::UnknownColumn(Text::new(
        format!("{} «{name}»: {ru}", place.in_language(Language::Ru)),
        format!("{place} \"{name}\": {en}"),
    ))
}
