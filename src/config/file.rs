//! A settings file as a tree whose every value knows its line, and the list of all that is wrong with it.

use std::{cell::RefCell, fmt::Write as _, ops::Range, path::Path, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// How alike two names must be for one to be offered instead of the other.
const ALIKE: f64 = 0.7;

/// The name among `known` that somebody who wrote `written` most likely meant.
pub fn meant<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let written = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&written, &name.to_lowercase()), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// All that is wrong with the file, in its order.
#[derive(Debug)]
pub struct Problems<'f> {
    path: &'f Path,
    text: &'f str,
    found: RefCell<Vec<(usize, String)>>,
}

impl<'f> Problems<'f> {
    pub fn new(path: &'f Path, text: &'f str) -> Self {
        Self {
            path,
            text,
            found: RefCell::default(),
        }
    }

    /// Notes what is wrong at that byte of the file and what to write instead.
    pub fn add(&self, at: usize, what: impl Into<String>) {
        self.found.borrow_mut().push((at, what.into()));
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// One line for each: `file:line: what`.
    pub fn report(&self) -> String {
        let mut found = self.found.take();
        found.sort();
        let mut report = String::new();
        for (at, what) in found {
            let before = self.text.get(..at).unwrap_or(self.text);
            let line = before.matches('\n').count() + 1;
            // Writing to a String cannot fail.
            let _ = writeln!(report, "{}:{line}: {what}", self.path.display());
        }
        report.truncate(report.trim_end().len());
        report
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// Its first byte in the file.
    pub at: usize,
    /// The value.
    pub value: T,
}

/// A table of the file. Keys that nobody asked for are unknown ones.
#[derive(Debug)]
pub struct Table<'t, 'f> {
    table: Option<&'t DeTable<'f>>,
    /// Where it begins.
    pub at: usize,
    name: &'static str,
    problems: &'t Problems<'f>,
    asked: Vec<&'static str>,
}

type Raw<'t, 'f> = (&'t DeValue<'f>, Range<usize>);

impl<'t, 'f> Table<'t, 'f> {
    /// The whole file.
    pub fn root(root: &'t DeTable<'f>, problems: &'t Problems<'f>) -> Self {
        Self {
            table: Some(root),
            at: 0,
            name: "",
            problems,
            asked: Vec::new(),
        }
    }

    fn get(&mut self, key: &'static str) -> Option<Raw<'t, 'f>> {
        self.asked.push(key);
        self.table?
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| (value.get_ref(), value.span()))
    }

    fn wrong(&self, key: &str, at: usize, expected: &str, value: &DeValue<'_>) {
        self.problems.add(
            at,
            format!("`{key}` must be {expected}, not {}", in_words(value)),
        );
    }

    /// Where the key stands, if it does.
    pub fn at(&mut self, key: &'static str) -> Option<usize> {
        self.get(key).map(|(_, span)| span.start)
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<At<&'t str>> {
        let (value, span) = self.get(key)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong(key, span.start, "a text in quotes", value);
        }
        text.map(|value| At {
            at: span.start,
            value,
        })
    }

    /// A text that means something else; `parse` says what to write when it does not.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let At { at, value } = self.text(key)?;
        match parse(value) {
            Ok(value) => Some(At { at, value }),
            Err(what) => {
                self.problems.add(at, format!("`{key}`: {what}"));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        let (value, span) = self.get(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.wrong(key, span.start, "true or false (without quotes)", value);
        }
        flag
    }

    /// A whole number within a range.
    pub fn number(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let (value, span) = self.get(key)?;
        let number = value
            .as_integer()
            .and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok())
            .filter(|n| range.contains(n));
        if number.is_none() {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            self.wrong(key, span.start, &expected, value);
        }
        number
    }

    /// Seconds, whole or with a fraction: 0.001 to 86400.
    pub fn seconds(&mut self, key: &'static str) -> Option<Duration> {
        self.seconds_up_to(key, 86_400)
    }

    /// Seconds, whole or with a fraction, from 0.001 to `most`.
    pub fn seconds_up_to(&mut self, key: &'static str, most: u32) -> Option<Duration> {
        let (value, span) = self.get(key)?;
        let seconds = value
            .as_integer()
            .map(toml::de::DeInteger::as_str)
            .or_else(|| value.as_float().map(toml::de::DeFloat::as_str))
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|seconds| (0.001..=f64::from(most)).contains(seconds));
        if seconds.is_none() {
            let expected = format!("seconds: a number from 0.001 to {most}");
            self.wrong(key, span.start, &expected, value);
        }
        seconds.map(Duration::from_secs_f64)
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<At<&'t str>>> {
        let (value, span) = self.get(key)?;
        let Some(array) = value.as_array() else {
            self.wrong(
                key,
                span.start,
                "a list of texts, as in [\"one\", \"two\"]",
                value,
            );
            return None;
        };
        let mut texts = Vec::new();
        for entry in array {
            match entry.get_ref().as_str() {
                Some(value) => texts.push(At {
                    at: entry.span().start,
                    value,
                }),
                None => self.wrong(key, entry.span().start, "a list of texts", entry.get_ref()),
            }
        }
        Some(texts)
    }

    /// A table inside this one; an empty one where it does not stand in the file.
    pub fn table(&mut self, key: &'static str) -> Table<'t, 'f> {
        let found = self.get(key);
        if let Some((value, span)) = &found
            && !value.is_table()
        {
            self.wrong(key, span.start, &format!("a table, as in [{key}]"), value);
        }
        Table {
            table: found.as_ref().and_then(|(value, _)| value.as_table()),
            at: found.map_or(self.at, |(_, span)| span.start),
            name: key,
            problems: self.problems,
            asked: Vec::new(),
        }
    }

    /// A list of tables inside this one. `like` is how one is written.
    pub fn tables(&mut self, key: &'static str, like: &str) -> Option<Vec<Table<'t, 'f>>> {
        let (value, span) = self.get(key)?;
        let array: Option<&[Spanned<DeValue<'f>>]> = value.as_array().map(|array| &**array);
        let tables = array.and_then(|array| {
            array
                .iter()
                .map(|entry| {
                    Some(Table {
                        table: Some(entry.get_ref().as_table()?),
                        at: entry.span().start,
                        name: key,
                        problems: self.problems,
                        asked: Vec::new(),
                    })
                })
                .collect()
        });
        if tables.is_none() {
            self.wrong(key, span.start, like, value);
        }
        tables
    }

    /// Notes every key that was not asked for. `instead` says what to write for some that people are known to try.
    pub fn finish(self, instead: &[(&str, &str)]) {
        for name in self.table.into_iter().flat_map(|table| table.keys()) {
            let written = name.get_ref().as_ref();
            if self.asked.contains(&written) {
                continue;
            }
            let place = match self.name {
                "" => String::new(),
                name => format!(" in [{name}]"),
            };
            let hint = match instead.iter().find(|(known, _)| *known == written) {
                Some((_, hint)) => format!(": {hint}"),
                None => match meant(written, self.asked.iter().copied()) {
                    Some(name) => format!(": did you mean `{name}`?"),
                    None => format!("; there are: {}", self.asked.join(", ")),
                },
            };
            self.problems.add(
                name.span().start,
                format!("unknown setting `{written}`{place}{hint}"),
            );
        }
    }
}

/// A value for a message, with its kind but never with a text that may be a secret.
fn in_words(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::String(_) => "a text".into(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
