//! Rows of CSV.

use std::collections::BTreeMap;

use super::rows::{Columns, Group, Row, Rows, Unreadable, Value, line_at, unknown};
use crate::catalogue::{Problem, Subject, Text};

/// Where a column's cells go: its group, none for the record itself, and its name there.
type Place = (Option<&'static Group>, &'static str);

pub(super) fn read(subject: Subject, text: &str) -> Result<Rows, Unreadable> {
    let columns = subject.columns();
    // No column has either in its name, so the header tells.
    let header = text.trim_start().lines().next().unwrap_or_default();
    let separator = if header.contains(';') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    // Reading a text in memory as text cannot fail.
    let mut next = |record: &mut csv::StringRecord| {
        let start = usize::try_from(reader.position().byte()).unwrap_or(text.len());
        let more = reader.read_record(record).unwrap_or(false);
        let blank = text[start..].len() - text[start..].trim_start_matches(['\r', '\n']).len();
        more.then_some(start + blank)
    };

    next(&mut record);
    let mut places: Vec<Option<Place>> = Vec::new();
    for name in &record {
        let name = name.trim().to_lowercase();
        let place = place(columns, &name);
        if place.is_none() && !name.is_empty() {
            return Err(unknown(
                &Text::new("столбец", "column"),
                &name,
                columns.names(),
            ));
        }
        if place.is_some() && places.contains(&place) {
            return Err(Unreadable::DoubledColumn(name));
        }
        places.push(place);
    }
    let is_key = |(group, name): &Place| group.is_none() && columns.keys.contains(name);
    if !places.iter().flatten().any(is_key) {
        return Err(Unreadable::NoKey(columns.keys.join(", ")));
    }

    let mut table = Rows {
        rows: Vec::new(),
        problems: Vec::new(),
    };
    let (mut line, mut counted) = (1, 0);
    let mut last = 0;
    while let Some(start) = next(&mut record) {
        line += line_at(&text.as_bytes()[counted..], start - counted) - 1;
        (counted, last) = (start, start);
        // What a spreadsheet leaves behind its last row.
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let beyond = record.iter().enumerate().any(|(index, cell)| {
            places.get(index).is_none_or(Option::is_none) && !cell.trim().is_empty()
        });
        if beyond || record.len() < places.len() {
            let (cells, columns) = (record.len(), places.len());
            let reason = Text::new(
                format!(
                    "ячеек {cells}, а столбцов в заголовке {columns}: лишний или пропущенный разделитель или кавычка"
                ),
                format!(
                    "{cells} cells where the header has {columns} columns: a separator or a quote too many or too few"
                ),
            );
            table.problems.push(Problem {
                subject,
                line,
                column: String::new(),
                reason,
            });
            continue;
        }
        table.rows.push(row_of_cells(line, &places, &record));
    }
    let tail = text[last..].trim_end();
    if tail.contains('\n') && tail.matches('"').count() % 2 == 1 {
        return Err(Unreadable::OpenQuote(line));
    }
    Ok(table)
}

/// Where a column of a file goes, by its name in the heading: `name`, or `group.name` for one of a nested object.
fn place(columns: &Columns, name: &str) -> Option<Place> {
    if let Some(plain) = columns.plain.iter().find(|plain| **plain == name) {
        return Some((None, plain));
    }
    let (group, name) = name.split_once('.')?;
    let group = columns.groups.iter().find(|known| known.name == group)?;
    let column = group.columns.iter().find(|column| **column == name)?;
    Some((Some(group), column))
}

fn row_of_cells(line: usize, places: &[Option<Place>], record: &csv::StringRecord) -> Row {
    let mut row = Row {
        line,
        group: "",
        cells: BTreeMap::new(),
    };
    let mut groups: BTreeMap<&'static str, (bool, Row)> = BTreeMap::new();
    for (place, cell) in places.iter().zip(record) {
        let Some((group, column)) = *place else {
            continue;
        };
        let value = match cell.trim() {
            "" => Value::Null,
            cell if cell.contains('\0') => Value::BadText,
            cell => Value::Text(cell.to_owned()),
        };
        let Some(group) = group else {
            row.cells.insert(column, value);
            continue;
        };
        let (_, object) = groups.entry(group.name).or_insert_with(|| {
            let object = Row {
                line,
                group: group.name,
                cells: BTreeMap::new(),
            };
            (group.many, object)
        });
        object.cells.insert(column, value);
    }
    for (name, (many, object)) in groups {
        if !many {
            row.cells.insert(name, Value::Object(object));
        } else if object.cells.values().any(|value| *value != Value::Null) {
            row.cells
                .insert(name, Value::List(vec![Value::Object(object)]));
        }
    }
    row
}
