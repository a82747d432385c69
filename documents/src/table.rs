//! Writes the rows of a table so that each can be found alone.
//!
//! A row becomes a line that repeats the header, `column: value; column: value`. A search compares chunks with a question. A chunk
//! from the middle of a table that has only values says nothing about what they mean; with their columns, it answers "price of X".

use crate::Problem;
use crate::draft::{Draft, one_line};

/// The most characters of a column's name that a row repeats.
const NAME_CHARS: usize = 80;

/// Writes rows, the first of which may be a header.
pub(crate) struct Table {
    header: Header,
    has_rows: bool,
}

enum Header {
    /// The first row decides.
    Open,
    /// The first row has the names, whatever they look like.
    First,
    /// By column.
    Names(Vec<String>),
    None,
}

impl Table {
    /// A table whose first row is a header if it looks like one.
    pub(crate) fn new() -> Self {
        Self { header: Header::Open, has_rows: false }
    }

    /// A table whose first row is known to be a header, or known to be none.
    pub(crate) fn with_header(is_header: bool) -> Self {
        Self { header: if is_header { Header::First } else { Header::None }, has_rows: false }
    }

    /// Writes a row. The cells are in order of their columns, and empty ones may be left out.
    pub(crate) fn row<'c>(
        &mut self,
        cells: impl IntoIterator<Item = (usize, &'c str)>,
        draft: &mut Draft<'_>,
    ) -> Result<(), Problem> {
        let cells = cells.into_iter().map(|(column, cell)| (column, one_line(cell)));
        let cells: Vec<_> = cells.filter(|(_, cell)| !cell.is_empty()).collect();
        if cells.is_empty() {
            return Ok(());
        }
        let line = self.line(cells);
        if std::mem::replace(&mut self.has_rows, true) { draft.line(&line) } else { draft.paragraph(&line) }
    }

    fn line(&mut self, cells: Vec<(usize, String)>) -> String {
        if matches!(self.header, Header::Open | Header::First) {
            let is_header = matches!(self.header, Header::First) || is_header(&cells);
            self.header = if is_header { names(&cells) } else { Header::None };
            // The names are written once as well, so that they are found if no row follows.
            return join(cells.into_iter().map(|(_, cell)| cell));
        }
        let Header::Names(names) = &self.header else {
            return join(cells.into_iter().map(|(_, cell)| cell));
        };
        join(cells.into_iter().map(|(column, cell)| match names.get(column) {
            Some(name) if !name.is_empty() => format!("{name}: {cell}"),
            _ => cell,
        }))
    }
}

/// A first row is a header if it has two cells or more and none is a number: names are no numbers, and most rows of data have one.
fn is_header(cells: &[(usize, String)]) -> bool {
    let is_number = |cell: &str| cell.trim_end_matches('%').replace([',', ' '], "").parse::<f64>().is_ok();
    cells.len() >= 2 && !cells.iter().any(|(_, cell)| is_number(cell))
}

fn names(cells: &[(usize, String)]) -> Header {
    let last = cells.last().map_or(0, |(column, _)| *column);
    let mut names = vec![String::new(); last + 1];
    for (column, cell) in cells {
        names[*column] = cell.chars().take(NAME_CHARS).collect();
    }
    Header::Names(names)
}

fn join(cells: impl Iterator<Item = String>) -> String {
    let mut line = String::new();
    for cell in cells {
        if !line.is_empty() {
            line.push_str("; ");
        }
        line.push_str(&cell);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::watch::Watch;

    #[track_caller]
    fn check(rows: &[&[&str]], expected: &str) {
        let watch = Watch::new(Limits::default());
        let mut draft = Draft::new(&watch);
        let mut table = Table::new();
        for row in rows {
            table.row(row.iter().copied().enumerate(), &mut draft).unwrap();
        }
        assert_eq!(draft.finish().unwrap().as_str(), expected);
    }

    #[test]
    fn each_row_repeats_the_names_of_its_columns() {
        check(
            &[&["Name", "Price"], &["Pump", "12"], &["", "7"], &["", ""], &["Valve", "", "extra"]],
            "Name; Price\nName: Pump; Price: 12\nPrice: 7\nName: Valve; extra",
        );
    }

    #[test]
    fn a_first_row_with_a_number_is_no_header() {
        check(&[&["Pump", "12"], &["Valve", "7"]], "Pump; 12\nValve; 7");
        check(&[&["Share", "12.5%"], &["Valve", "7"]], "Share; 12.5%\nValve; 7");
    }

    #[test]
    fn a_list_of_one_column_has_no_header() {
        check(&[&["Pump"], &["Valve"]], "Pump\nValve");
    }
}
