//! A settings file as a tree whose every value knows its line, and the list of all that is wrong with it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write as _,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeArray, DeFloat, DeInteger, DeTable, DeValue},
};

/// Every setting with its default: what a settings file does not say is read from here.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");
/// How alike two names must be for one to be offered instead of the other.
const ALIKE: f64 = 0.7;

/// What a setting may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Flag,
    Text,
    /// One of these words.
    Word(Vec<&'static str>),
    Texts,
    Number(RangeInclusive<i64>),
    /// Seconds, with a fraction or without, up to so many.
    Seconds(u32),
    Section,
    Sections,
}

/// The settings of a section that its reader asks for. `None` of one of which it only asked where it stands.
pub(super) type Asked = Vec<(&'static str, Option<Kind>)>;

/// What `read` asks for when it reads that text, section by section: `""` is the root, `publication.target` a target.
pub(super) fn asked<T>(
    text: &str,
    read: impl FnOnce(Section<'_>) -> T,
) -> Result<BTreeMap<String, Asked>, String> {
    let problems = Problems::new(Path::new("settings"), text);
    let own = problems.parse()?;
    let default_problems = Problems::new(Path::new("config/default.toml"), DEFAULTS);
    let defaults = default_problems.parse()?;
    read(Section::root(&own, &defaults, &problems));
    Ok(problems.sections.take())
}

/// Reads a file by `read`, which is given its root. `Err`: the report of everything that is wrong with it.
pub(super) fn read<T>(
    path: &Path,
    text: &str,
    read: impl FnOnce(Section<'_>) -> T,
) -> Result<T, String> {
    let problems = Problems::new(path, text);
    let own = problems.parse()?;
    let default_problems = Problems::new(Path::new("config/default.toml"), DEFAULTS);
    let defaults = default_problems.parse()?;
    let value = read(Section::root(&own, &defaults, &problems));
    if problems.is_empty() {
        Ok(value)
    } else {
        Err(problems.report())
    }
}

/// The one of `known` that is most like `written`, if any is.
pub(super) fn closest<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let written = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&written, &name.to_lowercase()), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

#[derive(Debug)]
pub(super) struct Problems<'f> {
    path: &'f Path,
    text: &'f str,
    found: RefCell<Vec<(usize, String)>>,
    /// What each section's reader asked for, by the section's path.
    sections: RefCell<BTreeMap<String, Asked>>,
}

impl<'f> Problems<'f> {
    fn new(path: &'f Path, text: &'f str) -> Self {
        Self {
            path,
            text,
            found: RefCell::default(),
            sections: RefCell::default(),
        }
    }

    fn parse(&self) -> Result<Spanned<DeTable<'f>>, String> {
        DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.add(at, format!("this is not TOML: {}", error.message()));
            self.report()
        })
    }

    /// Notes what is wrong at that byte of the file and what to write instead.
    pub(super) fn add(&self, at: usize, what: impl Into<String>) {
        self.found.borrow_mut().push((at, what.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// A path that a settings file names lies beside that file, wherever the service is started.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// One line for each, in the file's order: `file:line: what`.
    fn report(&self) -> String {
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
pub(super) struct At<T> {
    /// Its first byte in the file.
    pub(super) at: usize,
    pub(super) value: T,
}

/// A table of the file, as [limits] or a user. A key that it does not have, or has wrong, is read from the same section of
/// [`DEFAULTS`]; a publication, and what is in it, has no such section. Keys that nobody asked for are unknown ones.
#[derive(Debug)]
pub(super) struct Section<'t> {
    own: Option<&'t DeTable<'t>>,
    defaults: Option<&'t DeTable<'t>>,
    /// Where it begins in the file.
    pub(super) at: usize,
    name: &'static str,
    /// The names of the sections that it is in, and its own.
    path: String,
    pub(super) problems: &'t Problems<'t>,
    asked: Asked,
}

impl<'t> Section<'t> {
    fn root(
        own: &'t Spanned<DeTable<'t>>,
        defaults: &'t Spanned<DeTable<'t>>,
        problems: &'t Problems<'t>,
    ) -> Self {
        Self {
            own: Some(own.get_ref()),
            defaults: Some(defaults.get_ref()),
            at: 0,
            name: "",
            path: String::new(),
            problems,
            asked: Vec::new(),
        }
    }

    fn ask(&mut self, key: &'static str, kind: Option<Kind>) {
        match self.asked.iter_mut().find(|(known, _)| *known == key) {
            None => self.asked.push((key, kind)),
            Some((_, known)) => {
                // The first says it best: a word is also a text.
                if known.is_none() {
                    *known = kind;
                }
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// What the file says itself.
    fn own(&mut self, key: &'static str) -> Option<At<&'t DeValue<'t>>> {
        self.ask(key, None);
        let value = self.own?.get(key)?;
        Some(At {
            at: value.span().start,
            value: value.get_ref(),
        })
    }

    fn default(&self, key: &str) -> Option<&'t DeValue<'t>> {
        Some(self.defaults?.get(key)?.get_ref())
    }

    /// What the file says, as `read` understands it, or else the default. What it does not understand is noted.
    fn value<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&'t DeValue<'t>) -> Option<T>,
    ) -> Option<At<T>> {
        if let Some(At { at, value }) = self.own(key) {
            match read(value) {
                Some(value) => return Some(At { at, value }),
                None => self.wrong(key, at, expected, value),
            }
        }
        let value = self.default(key).and_then(read);
        debug_assert!(
            value.is_some() || self.defaults.is_none(),
            "config/default.toml says nothing of `{key}`"
        );
        value.map(|value| At { at: self.at, value })
    }

    fn wrong(&self, key: &str, at: usize, expected: &str, value: &DeValue<'_>) {
        self.problems.add(
            at,
            format!("`{key}` must be {expected}, not {}", in_words(value)),
        );
    }

    /// Where the key stands in the file, if it does.
    pub(super) fn at(&mut self, key: &'static str) -> Option<usize> {
        self.own(key).map(|found| found.at)
    }

    /// A text; `None`, and no default, where it is something else.
    pub(super) fn text(&mut self, key: &'static str) -> Option<At<&'t str>> {
        self.ask(key, Some(Kind::Text));
        let text = self.value(key, "a text in quotes", |value| value.as_str());
        let is_wrong = self.own(key).is_some_and(|own| !own.value.is_str());
        text.filter(|_| !is_wrong)
    }

    /// A text that means something else; `parse` says what to write when it does not.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let At { at, value } = self.text(key)?;
        parse(value)
            .map_err(|what| self.problems.add(at, format!("`{key}`: {what}")))
            .ok()
    }

    /// One of these words; `otherwise` says what to write when it is another.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        otherwise: &str,
    ) -> Option<T> {
        let known = words.iter().map(|(word, _)| *word).collect();
        self.ask(key, Some(Kind::Word(known)));
        self.parsed(key, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found
                .map(|(_, value)| *value)
                .ok_or_else(|| otherwise.to_owned())
        })
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.ask(key, Some(Kind::Flag));
        self.value(key, "true or false (without quotes)", DeValue::as_bool)
            .is_some_and(|flag| flag.value)
    }

    /// A whole number within a range; 0 where there is none and no default.
    pub(super) fn number<N: TryFrom<i64> + Default>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> N {
        self.ask(key, Some(Kind::Number(range.clone())));
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.value(key, &expected, |value| {
            let number = value.as_integer()?;
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            range.contains(&number).then_some(number)?.try_into().ok()
        })
        .map_or_else(N::default, |number| number.value)
    }

    /// Seconds, whole or with a fraction: 0.001 to 86400.
    pub(super) fn seconds(&mut self, key: &'static str) -> Duration {
        self.seconds_up_to(key, 86_400)
    }

    /// Seconds, whole or with a fraction, from 0.001 to `most`.
    pub(super) fn seconds_up_to(&mut self, key: &'static str, most: u32) -> Duration {
        self.ask(key, Some(Kind::Seconds(most)));
        let expected = format!("seconds: a number from 0.001 to {most}");
        self.value(key, &expected, |value| {
            let text = value
                .as_integer()
                .map(DeInteger::as_str)
                .or_else(|| value.as_float().map(DeFloat::as_str))?;
            let seconds = text.parse::<f64>().ok()?;
            (0.001..=f64::from(most))
                .contains(&seconds)
                .then(|| Duration::from_secs_f64(seconds))
        })
        .map_or(Duration::ZERO, |seconds| seconds.value)
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Vec<At<&'t str>> {
        self.ask(key, Some(Kind::Texts));
        let expected = "a list of texts, as in [\"one\", \"two\"]";
        let list = self.value(key, expected, DeValue::as_array);
        let mut texts = Vec::new();
        for entry in list.into_iter().flat_map(|list| list.value) {
            let at = entry.span().start;
            match entry.get_ref().as_str() {
                Some(value) => texts.push(At { at, value }),
                None => self.wrong(key, at, "a list of texts", entry.get_ref()),
            }
        }
        texts
    }

    /// A section inside this one; one with defaults alone where it does not stand in the file.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'t> {
        self.ask(key, Some(Kind::Section));
        let found = self.own(key);
        if let Some(At { at, value }) = &found
            && !value.is_table()
        {
            self.wrong(key, *at, &format!("a table, as in [{key}]"), value);
        }
        Section {
            own: found.as_ref().and_then(|found| found.value.as_table()),
            defaults: self.default(key).and_then(|value| value.as_table()),
            at: found.map_or(self.at, |found| found.at),
            name: key,
            path: self.path_of(key),
            problems: self.problems,
            asked: Vec::new(),
        }
    }

    /// A list of sections inside this one, without defaults. `like` is how one is written.
    pub(super) fn sections(&mut self, key: &'static str, like: &str) -> Vec<Section<'t>> {
        self.ask(key, Some(Kind::Sections));
        let path = self.path_of(key);
        let Some(At { at, value }) = self.own(key) else {
            return Vec::new();
        };
        let problems = self.problems;
        let sections = value.as_array().and_then(|list: &DeArray<'_>| {
            list.iter()
                .map(|entry| {
                    Some(Section {
                        own: Some(entry.get_ref().as_table()?),
                        defaults: None,
                        at: entry.span().start,
                        name: key,
                        path: path.clone(),
                        problems,
                        asked: Vec::new(),
                    })
                })
                .collect()
        });
        sections.unwrap_or_else(|| {
            self.wrong(key, at, like, value);
            Vec::new()
        })
    }

    /// Notes every key that was not asked for. `instead` says what to write for some that people are known to try.
    pub(super) fn finish(self, instead: &[(&str, &str)]) {
        let known = || self.asked.iter().map(|(known, _)| *known);
        for name in self.own.into_iter().flat_map(|section| section.keys()) {
            let written = name.get_ref().as_ref();
            if self.asked.iter().any(|(known, _)| *known == written) {
                continue;
            }
            let place = match self.name {
                "" => String::new(),
                name => format!(" in [{name}]"),
            };
            let hint = match instead.iter().find(|(known, _)| *known == written) {
                Some((_, hint)) => format!(": {hint}"),
                None => match closest(written, known()) {
                    Some(name) => format!(": did you mean `{name}`?"),
                    None => format!("; there are: {}", known().collect::<Vec<_>>().join(", ")),
                },
            };
            self.problems.add(
                name.span().start,
                format!("unknown setting `{written}`{place}{hint}"),
            );
        }
        let mut sections = self.problems.sections.borrow_mut();
        sections.insert(self.path, self.asked);
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
