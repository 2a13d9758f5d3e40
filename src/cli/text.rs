//! Texts for a terminal: tables.

use unicode_width::UnicodeWidthStr;

pub(super) use crate::order::legible::{clean, clean_lines, laid_out};

/// Columns of texts, each as wide as it must be.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Self {
            rows: vec![head.iter().map(ToString::to_string).collect()],
        }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter();
        self.rows
            .push(cells.map(|cell| clean(&cell).into_owned()).collect());
    }

    pub(super) fn print(self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let space = width - cell.width() + 2;
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', space));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
