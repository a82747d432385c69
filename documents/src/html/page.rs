//! Writes the text of a page while its tokens are read.

use html5gum::emitters::callback::CallbackEvent;

use super::elements::{Element, element};
use crate::draft::Draft;
use crate::table::Table;
use crate::watch::Watch;
use crate::{Problem, Text};

/// The most columns that one cell may span: HTML's own limit.
const MAX_SPAN: usize = 1_000;

/// The text of a page so far.
pub(super) struct Page<'w> {
    draft: Draft<'w>,
    tag: Tag,
    /// The words of the open block.
    block: String,
    mark: Mark,
    /// Open elements whose white space counts.
    pre: usize,
    /// The lists that are open, and whether an item was written since the first was opened.
    lists: usize,
    has_items: bool,
    /// The element that is dropped, and how many of its name are open.
    skipped: Option<(Vec<u8>, usize)>,
    /// Open tables. Those inside of cells are part of the cells.
    tables: usize,
    table: Option<Table>,
    row: Vec<Cell>,
}

/// What the open block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Paragraph,
    Heading(usize),
    Item,
}

/// The start tag that is being read.
#[derive(Default)]
struct Tag {
    name: Vec<u8>,
    attribute: Vec<u8>,
    alt: String,
    span: usize,
}

struct Cell {
    text: String,
    span: usize,
    is_header: bool,
}

impl<'w> Page<'w> {
    pub(super) fn new(watch: &'w Watch) -> Self {
        Self {
            draft: Draft::new(watch),
            tag: Tag::default(),
            block: String::new(),
            mark: Mark::Paragraph,
            pre: 0,
            lists: 0,
            has_items: false,
            skipped: None,
            tables: 0,
            table: None,
            row: Vec::new(),
        }
    }

    pub(super) fn event(&mut self, event: &CallbackEvent<'_>) -> Result<(), Problem> {
        match event {
            CallbackEvent::OpenStartTag { name } => self.tag = Tag { name: name.to_vec(), span: 1, ..Tag::default() },
            CallbackEvent::AttributeName { name } => self.tag.attribute = name.to_vec(),
            CallbackEvent::AttributeValue { value } => self.tag.set(value),
            CallbackEvent::CloseStartTag { .. } => self.open()?,
            CallbackEvent::EndTag { name } => self.close(name)?,
            CallbackEvent::String { value } if self.skipped.is_none() => self.words(&String::from_utf8_lossy(value)),
            CallbackEvent::String { .. }
            | CallbackEvent::Comment { .. }
            | CallbackEvent::Doctype { .. }
            | CallbackEvent::Error(_) => {}
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Text, Problem> {
        self.end_table()?;
        self.end_block()?;
        self.draft.finish()
    }

    fn open(&mut self) -> Result<(), Problem> {
        if let Some((name, depth)) = &mut self.skipped {
            *depth += usize::from(*name == self.tag.name);
            return Ok(());
        }
        match element(&self.tag.name) {
            Element::Heading(level) => self.begin_block(Mark::Heading(level)),
            Element::Block => self.begin_block(Mark::Paragraph),
            Element::List => {
                self.begin_block(Mark::Paragraph)?;
                self.lists += 1;
                Ok(())
            }
            Element::Item => self.begin_block(Mark::Item),
            Element::Pre => {
                self.begin_block(Mark::Paragraph)?;
                self.pre += 1;
                Ok(())
            }
            Element::Break => {
                self.block.push('\n');
                Ok(())
            }
            Element::Table => self.begin_table(),
            Element::Row if self.tables == 1 => self.end_row(),
            Element::Cell { is_header } if self.tables == 1 => {
                self.end_cell();
                self.row.push(Cell { text: String::new(), span: self.tag.span, is_header });
                Ok(())
            }
            Element::Row | Element::Cell { .. } => self.begin_block(Mark::Paragraph),
            Element::Image => {
                let alt = std::mem::take(&mut self.tag.alt);
                self.words(&alt);
                Ok(())
            }
            Element::Skipped => {
                self.skipped = Some((std::mem::take(&mut self.tag.name), 1));
                Ok(())
            }
            Element::Inline => Ok(()),
        }
    }

    fn close(&mut self, name: &[u8]) -> Result<(), Problem> {
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth -= usize::from(skipped == name);
            if *depth == 0 {
                self.skipped = None;
            }
            return Ok(());
        }
        match element(name) {
            Element::Heading(_) | Element::Block | Element::Item => self.begin_block(Mark::Paragraph),
            Element::List => {
                self.begin_block(Mark::Paragraph)?;
                self.lists = self.lists.saturating_sub(1);
                self.has_items &= self.lists > 0;
                Ok(())
            }
            Element::Pre => {
                self.begin_block(Mark::Paragraph)?;
                self.pre = self.pre.saturating_sub(1);
                Ok(())
            }
            Element::Table if self.tables == 1 => self.end_table(),
            Element::Table => {
                self.tables = self.tables.saturating_sub(1);
                self.begin_block(Mark::Paragraph)
            }
            Element::Row if self.tables == 1 => self.end_row(),
            Element::Cell { .. } if self.tables == 1 => {
                self.end_cell();
                Ok(())
            }
            Element::Row | Element::Cell { .. } => self.begin_block(Mark::Paragraph),
            Element::Break | Element::Image | Element::Skipped | Element::Inline => Ok(()),
        }
    }

    /// Adds words to the open block, with white space as the page shows it.
    fn words(&mut self, text: &str) {
        if self.pre > 0 {
            self.block.push_str(text);
            return;
        }
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let is_space = |c: char| c.is_ascii_whitespace();
            if is_space(first) {
                rest = rest.trim_start_matches(is_space);
                if !self.block.is_empty() && !self.block.ends_with([' ', '\n']) {
                    self.block.push(' ');
                }
            }
            let end = rest.find(is_space).unwrap_or(rest.len());
            self.block.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }

    fn begin_block(&mut self, mark: Mark) -> Result<(), Problem> {
        if self.tables > 0 {
            // Blocks inside a cell are words of it.
            self.words(" ");
            return Ok(());
        }
        // A paragraph inside an item or a heading is its text.
        if mark == Mark::Paragraph && self.block.trim().is_empty() && self.mark == Mark::Item {
            return Ok(());
        }
        self.end_block()?;
        self.mark = mark;
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), Problem> {
        let block = std::mem::take(&mut self.block);
        let mark = std::mem::replace(&mut self.mark, Mark::Paragraph);
        if block.trim().is_empty() {
            return Ok(());
        }
        match mark {
            Mark::Paragraph if self.pre > 0 => self.draft.paragraph(&block),
            Mark::Paragraph => self.draft.paragraph(block.trim_start()),
            Mark::Heading(level) => self.draft.heading(level, &block),
            Mark::Item => {
                let line = format!("- {}", block.trim());
                if std::mem::replace(&mut self.has_items, true) {
                    self.draft.line(&line)
                } else {
                    self.draft.paragraph(&line)
                }
            }
        }
    }

    fn begin_table(&mut self) -> Result<(), Problem> {
        self.begin_block(Mark::Paragraph)?;
        self.tables += 1;
        Ok(())
    }

    fn end_table(&mut self) -> Result<(), Problem> {
        self.end_row()?;
        self.table = None;
        self.tables = 0;
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), Problem> {
        self.end_cell();
        let row = std::mem::take(&mut self.row);
        if row.iter().all(|cell| cell.text.trim().is_empty()) {
            return Ok(());
        }
        let is_header = row.iter().all(|cell| cell.is_header);
        let table = self.table.get_or_insert_with(|| Table::with_header(is_header));
        let mut column = 0;
        let cells = row.iter().map(|cell| {
            let at = column;
            column += cell.span;
            (at, cell.text.as_str())
        });
        table.row(cells, &mut self.draft)
    }

    /// Moves the open words into the open cell. Words of a table outside of all cells stay for the next cell.
    fn end_cell(&mut self) {
        if let Some(cell) = self.row.last_mut() {
            cell.text.push_str(&std::mem::take(&mut self.block));
        }
    }
}

impl Tag {
    fn set(&mut self, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        match self.attribute.as_slice() {
            b"alt" => self.alt = value.into_owned(),
            b"colspan" => self.span = value.trim().parse().unwrap_or(1).clamp(1, MAX_SPAN),
            _ => {}
        }
    }
}
