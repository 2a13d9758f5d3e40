//! CSV as a Russian Excel opens it: UTF-8 with a BOM, semicolons, a decimal comma. A text is never a formula.

use std::{borrow::Cow, io};

use super::{Cell, Style};
use crate::{
    http::console::shown,
    order::{fault::Language, invisible::is_blank},
};

/// The BOM and the titles.
pub(super) fn begin<const N: usize>(titles: [&str; N]) -> io::Result<Vec<u8>> {
    let mut begin = "\u{feff}".as_bytes().to_vec();
    begin.extend(records([titles.map(str::to_owned)])?);
    Ok(begin)
}

pub(super) fn lines<const N: usize>(rows: Vec<[Cell; N]>, style: Style) -> io::Result<Vec<u8>> {
    let rows = rows.into_iter();
    records(rows.map(|row| row.map(|cell| written(cell, style))))
}

fn records<const N: usize>(records: impl IntoIterator<Item = [String; N]>) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(b';')
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    for record in records {
        writer.write_record(record).map_err(io::Error::other)?;
    }
    writer.into_inner().map_err(io::Error::other)
}

fn written(cell: Cell, style: Style) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Number(number) => number.to_string(),
        Cell::Amount(amount) => {
            let text = format!("{amount:.2}");
            match style.language {
                Language::Ru => text.replace('.', ","),
                Language::En => text,
            }
        }
        Cell::Moment(moment) => shown::moment(moment, style.zone),
        Cell::ExactMoment(moment) => shown::exact_moment(moment, style.zone),
        Cell::Text(text) => harmless(&text).into_owned(),
    }
}

/// A spreadsheet takes what begins so for a formula; behind an apostrophe it is a text.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_begin = |symbol: char| "=+-@＝＋－＠".contains(symbol);
    let begins = text.trim_start_matches(|c: char| is_blank(c) || c.is_whitespace());
    if begins.starts_with(is_begin) || text.starts_with(['\t', '\r', '\n']) {
        return format!("'{text}").into();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula() {
        for (text, due) in [
            ("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("\tx", "'\tx"),
            (" \u{feff}=1", "' \u{feff}=1"),
            ("＝1", "'＝1"),
            ("8 908 328-08-32", "8 908 328-08-32"),
            ("+4915112345678", "'+4915112345678"),
            ("Иванов - сын", "Иванов - сын"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), due, "{text:?}");
        }
    }
}
