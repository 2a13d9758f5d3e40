//! Tables, and JSON for people.

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
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn print(self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let space = width - cell.chars().count() + 2;
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', space));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// JSON laid out for reading, where it is JSON that can be; numbers and texts stay as they were sent.
pub(super) fn laid_out(body: &str) -> String {
    let mut text = String::with_capacity(body.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut symbols = body.trim().chars().peekable();
    while let Some(symbol) = symbols.next() {
        if in_text {
            text.push(symbol);
            in_text = escaped || symbol != '"';
            escaped = symbol == '\\' && !escaped;
            continue;
        }
        let new_line = |text: &mut String, depth: usize| {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", depth));
        };
        match symbol {
            '"' => {
                in_text = true;
                text.push('"');
            }
            '{' | '[' => {
                text.push(symbol);
                while symbols.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = symbols.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(symbol);
            }
            ',' => {
                text.push(',');
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            symbol if symbol.is_ascii_whitespace() => {}
            symbol => text.push(symbol),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_with_every_symbol_as_it_was_sent() {
        let sent =
            r#"{"a" : 1.50,"text":"a \"b\", {c}: [\\]","list":[ ],"o":{},"n":[1e400,{"x":null}]}"#;
        let laid_out = laid_out(sent);
        assert_eq!(
            laid_out,
            "{\n  \"a\": 1.50,\n  \"text\": \"a \\\"b\\\", {c}: [\\\\]\",\n  \"list\": [],\n  \"o\": {},\n  \"n\": [\n    1e400,\n    {\n      \"x\": null\n    }\n  ]\n}"
        );
        assert_eq!(super::laid_out(&laid_out), laid_out);
    }
}
