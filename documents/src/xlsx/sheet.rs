//! Reads the rows of a sheet.

use super::cells::Cells;
use crate::Problem;
use crate::draft::Draft;
use crate::package::{Node, Tag, Xml};
use crate::table::Table;

/// The columns of a sheet: Excel's limit. Cells beyond are no cells.
const MAX_COLUMNS: usize = 16_384;

#[derive(Default)]
struct Cell {
    column: usize,
    kind: String,
    style: usize,
    value: String,
}

/// Writes a sheet under a heading with its name; nothing if it has no cells.
pub(super) fn read(mut xml: Xml<'_>, name: &str, cells: &Cells, draft: &mut Draft<'_>) -> Result<(), Problem> {
    let mut table = Table::new();
    let mut is_named = false;
    let mut row: Vec<(usize, String)> = Vec::new();
    let mut next_column = 0;
    let mut cell = Cell::default();
    let mut is_value = false;
    while let Some(node) = xml.next()? {
        match node {
            Node::Open(tag) => match tag.name() {
                b"c" => cell = Cell::open(&tag, next_column),
                // The value, or the text of a cell that shares none.
                b"v" | b"t" => is_value = true,
                _ => {}
            },
            Node::Text(text) if is_value => cell.value.push_str(&text),
            Node::Close(b"v" | b"t") => is_value = false,
            Node::Close(b"c") => {
                next_column = cell.column.saturating_add(1);
                let text = cells.text(&cell.kind, cell.style, &cell.value);
                if cell.column < MAX_COLUMNS && !text.trim().is_empty() {
                    row.push((cell.column, text.into_owned()));
                }
            }
            Node::Close(b"row") => {
                next_column = 0;
                if !is_named && !row.is_empty() {
                    is_named = true;
                    draft.heading(1, name)?;
                }
                table.row(row.iter().map(|(column, text)| (*column, text.as_str())), draft)?;
                row.clear();
            }
            Node::Close(_) | Node::Text(_) | Node::Other => {}
        }
    }
    Ok(())
}

impl Cell {
    /// A cell without a place follows the one before it.
    fn open(tag: &Tag<'_>, next_column: usize) -> Self {
        Self {
            column: tag.attribute(b"r").and_then(|place| column(&place)).unwrap_or(next_column),
            kind: tag.attribute(b"t").unwrap_or_default(),
            style: tag.attribute(b"s").and_then(|style| style.parse().ok()).unwrap_or(0),
            value: String::new(),
        }
    }
}

/// The column of a place such as `AB12`, from zero.
fn column(place: &str) -> Option<usize> {
    let letters = place.bytes().take_while(u8::is_ascii_alphabetic);
    let number = letters.fold(0_usize, |number, letter| {
        number.saturating_mul(26).saturating_add(usize::from(letter.to_ascii_uppercase() - b'A') + 1)
    });
    number.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::column;

    #[test]
    fn places_have_columns() {
        assert_eq!(column("A1"), Some(0));
        assert_eq!(column("Z9"), Some(25));
        assert_eq!(column("AB12"), Some(27));
        assert_eq!(column("XFD1048576"), Some(16_383));
        assert_eq!(column("12"), None);
        assert!(column("ZZZZZZZZZZZZZZZZZZZZZZ1").unwrap() > super::MAX_COLUMNS);
    }
}
