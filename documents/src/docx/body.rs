//! Reads the paragraphs and tables of a part.

use super::styles::{Styles, level_of_outline};
use crate::Problem;
use crate::draft::Draft;
use crate::package::{Node, Tag, Xml};
use crate::table::Table;

/// Writes the text of a part.
pub(super) struct Body<'d, 'w> {
    styles: &'d Styles,
    draft: &'d mut Draft<'w>,
    /// The words of the open paragraph.
    text: String,
    level: Option<usize>,
    is_item: bool,
    /// Whether the last paragraph was an item of a list.
    follows_item: bool,
    /// Whether words are being read: text stands in `t` and nowhere else.
    is_text: bool,
    /// Open tables. Those inside of cells are part of the cells.
    tables: usize,
    table: Option<Table>,
    row: Vec<(usize, String)>,
    column: usize,
}

impl<'d, 'w> Body<'d, 'w> {
    pub(super) fn new(styles: &'d Styles, draft: &'d mut Draft<'w>) -> Self {
        Self {
            styles,
            draft,
            text: String::new(),
            level: None,
            is_item: false,
            follows_item: false,
            is_text: false,
            tables: 0,
            table: None,
            row: Vec::new(),
            column: 0,
        }
    }

    pub(super) fn read(mut self, mut xml: Xml<'_>) -> Result<(), Problem> {
        while let Some(node) = xml.next()? {
            match node {
                Node::Open(tag) => self.open(&tag)?,
                Node::Close(name) => self.close(name)?,
                Node::Text(text) if self.is_text => self.text.push_str(&text),
                Node::Text(_) | Node::Other => {}
            }
        }
        self.end_paragraph()
    }

    fn open(&mut self, tag: &Tag<'_>) -> Result<(), Problem> {
        match tag.name() {
            // A paragraph of a text box stands inside of the paragraph that holds the box.
            b"p" => return self.end_paragraph(),
            b"t" => self.is_text = true,
            b"tab" | b"ptab" => self.text.push('\t'),
            b"br" | b"cr" => self.text.push('\n'),
            b"noBreakHyphen" => self.text.push('-'),
            b"pStyle" => {
                let id = tag.attribute(b"val").unwrap_or_default();
                self.level = self.styles.level(&id);
                self.is_item |= self.styles.is_item(&id);
            }
            b"outlineLvl" => self.level = tag.attribute(b"val").and_then(|value| level_of_outline(&value)),
            b"numPr" => self.is_item = true,
            b"tbl" => {
                self.end_paragraph()?;
                self.tables += 1;
            }
            b"tc" if self.tables == 1 => self.row.push((self.column, String::new())),
            b"gridSpan" if self.tables == 1 => {
                // The cell itself is one column.
                self.column += tag.attribute(b"val").and_then(|span| span.parse().ok()).unwrap_or(1).clamp(1, 64) - 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, name: &[u8]) -> Result<(), Problem> {
        match name {
            b"p" => self.end_paragraph()?,
            b"t" => self.is_text = false,
            b"tc" if self.tables == 1 => {
                self.end_paragraph()?;
                self.column += 1;
            }
            b"tr" if self.tables == 1 => {
                let row = std::mem::take(&mut self.row);
                self.column = 0;
                let table = self.table.get_or_insert_with(Table::new);
                table.row(row.iter().map(|(column, cell)| (*column, cell.as_str())), self.draft)?;
            }
            b"tbl" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    self.table = None;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), Problem> {
        let text = std::mem::take(&mut self.text);
        let level = self.level.take();
        let is_item = std::mem::take(&mut self.is_item);
        if text.trim().is_empty() {
            return Ok(());
        }
        if let Some((_, cell)) = self.row.last_mut() {
            cell.push(' ');
            cell.push_str(&text);
            return Ok(());
        }
        let follows_item = std::mem::replace(&mut self.follows_item, is_item && level.is_none());
        match level {
            Some(level) => self.draft.heading(level, &text),
            None if is_item && follows_item => self.draft.line(&format!("- {}", text.trim())),
            None if is_item => self.draft.paragraph(&format!("- {}", text.trim())),
            None => self.draft.paragraph(&text),
        }
    }
}
