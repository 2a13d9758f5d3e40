//! A workbook: ids and phones are texts, amounts numbers, moments dates. What somebody wrote is written as a text and so is never a
//! formula or a link. A second sheet says what was exported, when and by whom.

use chrono::{DateTime, Datelike, Timelike, Utc};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

use rust_decimal::Decimal;

use super::{Cell, MOST_IN_XLSX, Sheet, Style};
use crate::http::console::{escape::visible, shown, texts::texts};

/// No cell holds more characters.
const LONGEST: usize = 32_767;

/// What the second sheet says.
pub(super) struct About {
    pub publication: String,
    pub login: String,
    pub made_at: DateTime<Utc>,
    pub filter: String,
}

pub(super) fn workbook<const N: usize>(
    table: &Sheet<N>,
    rows: &[[Cell; N]],
    is_cut: bool,
    style: Style,
    about: &About,
) -> Result<Vec<u8>, XlsxError> {
    let t = texts(style.language);
    let bold = Format::new().set_bold();
    let formats = Formats {
        amount: Format::new().set_num_format("#,##0.00"),
        moment: Format::new().set_num_format("dd.mm.yyyy hh:mm"),
        exact_moment: Format::new().set_num_format("dd.mm.yyyy hh:mm:ss"),
    };
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet().set_name(table.name)?;
    sheet.set_freeze_panes(1, 0)?;
    for ((column, title), width) in (0..).zip(table.titles).zip(table.widths) {
        sheet.write_string_with_format(0, column, title, &bold)?;
        // A title is read in full, beside the button of the filter.
        let title = u32::try_from(title.chars().count()).unwrap_or_default();
        sheet.set_column_width(column, width.max(f64::from(title) + 4.0))?;
    }
    for (line, row) in (1..).zip(rows) {
        for (column, cell) in (0..).zip(row) {
            write(sheet, line, column, cell, style, &formats)?;
        }
    }
    let last_line = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let last_column = u16::try_from(N - 1).unwrap_or(u16::MAX);
    sheet.autofilter(0, 0, last_line, last_column)?;
    let sheet = workbook.add_worksheet().set_name(t.about_export)?;
    sheet.set_column_width(0, 24)?;
    sheet.set_column_width(1, 60)?;
    let text = |text: &str| Cell::Text(visible(text).into_owned());
    let mut lines = vec![
        (t.publication, text(&about.publication)),
        (t.when, text(&shown::moment(about.made_at, style.zone))),
        (t.who, text(&about.login)),
        (t.filter, text(&about.filter)),
        (
            table.name,
            Cell::Number(i32::try_from(rows.len()).unwrap_or(i32::MAX)),
        ),
    ];
    if let Some((column, title)) = table.summed {
        lines.push((title, Cell::Amount(sum(rows, column))));
    }
    for (line, (title, cell)) in (0..).zip(&lines) {
        sheet.write_string_with_format(line, 0, *title, &bold)?;
        write(sheet, line, 1, cell, style, &formats)?;
    }
    if is_cut {
        let line = u32::try_from(lines.len()).unwrap_or_default();
        sheet.write_string(line, 0, table.cut)?;
    }
    debug_assert!(rows.len() <= MOST_IN_XLSX);
    workbook.save_to_buffer()
}

fn sum<const N: usize>(rows: &[[Cell; N]], column: usize) -> Decimal {
    let amounts = rows.iter().map(|row| match row.get(column) {
        Some(Cell::Amount(amount)) => *amount,
        _ => Decimal::ZERO,
    });
    amounts.sum()
}

struct Formats {
    amount: Format,
    moment: Format,
    exact_moment: Format,
}

fn write(
    sheet: &mut Worksheet,
    line: u32,
    column: u16,
    cell: &Cell,
    style: Style,
    formats: &Formats,
) -> Result<(), XlsxError> {
    match cell {
        Cell::Empty => sheet,
        Cell::Number(number) => sheet.write_number(line, column, *number)?,
        Cell::Amount(amount) => {
            // A cell's number is a float: cents are exact up to a thousand times the highest amount.
            let number: f64 = amount.to_string().parse().unwrap_or_default();
            sheet.write_number_with_format(line, column, number, &formats.amount)?
        }
        Cell::Moment(moment) => match date(*moment, false, style) {
            Some(date) => sheet.write_datetime_with_format(line, column, &date, &formats.moment)?,
            // Before 1900.
            None => sheet.write_string(line, column, shown::moment(*moment, style.zone))?,
        },
        Cell::ExactMoment(moment) => match date(*moment, true, style) {
            Some(date) => {
                sheet.write_datetime_with_format(line, column, &date, &formats.exact_moment)?
            }
            None => sheet.write_string(line, column, shown::exact_moment(*moment, style.zone))?,
        },
        Cell::Text(text) if text.is_empty() => sheet,
        Cell::Text(text) => sheet.write_string(line, column, short(text))?,
    };
    Ok(())
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The moment in the publication's time, with or without its seconds.
fn date(moment: DateTime<Utc>, is_exact: bool, style: Style) -> Option<ExcelDateTime> {
    let local = style.zone.local(moment);
    let year = u16::try_from(local.year()).ok()?;
    let [month, day] = [local.month(), local.day()].map(u8::try_from);
    let [hour, minute] = [local.hour(), local.minute()].map(u16::try_from);
    let date = ExcelDateTime::from_ymd(year, month.ok()?, day.ok()?).ok()?;
    let minute = u8::try_from(minute.ok()?).ok()?;
    let second = if is_exact { local.second() } else { 0 };
    date.and_hms(hour.ok()?, minute, f64::from(second)).ok()
}
