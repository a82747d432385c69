//! Reads a slide and its notes.

use crate::Problem;
use crate::draft::Draft;
use crate::package::{Node, Package, Xml};
use crate::table::Table;

/// What a slide has, in the order of its drawing.
enum Block {
    Paragraph(String),
    /// Rows of cells.
    Table(Vec<Vec<String>>),
}

#[derive(Default)]
struct Slide {
    title: String,
    blocks: Vec<Block>,
}

/// Writes a slide: its title as a heading wherever the slide has it, its texts and tables, its notes.
pub(super) fn read(package: &Package<'_>, part: &str, number: usize, draft: &mut Draft<'_>) -> Result<(), Problem> {
    let Some(xml) = package.part(part)? else { return Ok(()) };
    let slide = Slide::read(xml)?;
    let relations = package.relations(part)?;
    let mut notes = Vec::new();
    for part in relations.of_type("notesslide") {
        if let Some(xml) = package.part(part)? {
            notes.extend(Slide::read(xml)?.blocks);
        }
    }
    if slide.is_empty() && notes.is_empty() {
        return Ok(());
    }
    let title = if slide.title.trim().is_empty() { String::new() } else { format!(": {}", slide.title) };
    draft.heading(1, &format!("Slide {number}{title}"))?;
    write(slide.blocks, draft)?;
    if !notes.is_empty() {
        draft.paragraph("Notes:")?;
        write(notes, draft)?;
    }
    Ok(())
}

fn write(blocks: Vec<Block>, draft: &mut Draft<'_>) -> Result<(), Problem> {
    for block in blocks {
        match block {
            Block::Paragraph(text) => draft.paragraph(&text)?,
            Block::Table(rows) => {
                let mut table = Table::new();
                for row in rows {
                    table.row(row.iter().map(String::as_str).enumerate(), draft)?;
                }
            }
        }
    }
    Ok(())
}

impl Slide {
    fn read(mut xml: Xml<'_>) -> Result<Self, Problem> {
        let mut slide = Self::default();
        let mut text = String::new();
        let mut shape = Shape::Text;
        let mut is_text = false;
        let mut rows: Option<Vec<Vec<String>>> = None;
        while let Some(node) = xml.next()? {
            match node {
                Node::Open(tag) => match tag.name() {
                    b"sp" => shape = Shape::Text,
                    b"ph" => shape = Shape::of_placeholder(tag.attribute(b"type").as_deref()),
                    b"t" => is_text = true,
                    b"br" => text.push('\n'),
                    b"tbl" => rows = Some(Vec::new()),
                    b"tr" => rows.iter_mut().for_each(|rows| rows.push(Vec::new())),
                    b"tc" => rows.iter_mut().filter_map(|rows| rows.last_mut()).for_each(|row| row.push(String::new())),
                    _ => {}
                },
                Node::Close(b"t") => is_text = false,
                Node::Close(b"p") => slide.end_paragraph(std::mem::take(&mut text), shape, rows.as_mut()),
                Node::Close(b"tbl") => slide.blocks.extend(rows.take().map(Block::Table)),
                Node::Text(part) if is_text => text.push_str(&part),
                Node::Close(_) | Node::Text(_) | Node::Other => {}
            }
        }
        Ok(slide)
    }

    fn end_paragraph(&mut self, text: String, shape: Shape, rows: Option<&mut Vec<Vec<String>>>) {
        if text.trim().is_empty() {
            return;
        }
        if let Some(cell) = rows.and_then(|rows| rows.last_mut()).and_then(|row| row.last_mut()) {
            cell.push(' ');
            cell.push_str(&text);
            return;
        }
        match shape {
            Shape::Title => {
                self.title.push(' ');
                self.title.push_str(&text);
            }
            Shape::Text => self.blocks.push(Block::Paragraph(text)),
            Shape::Decoration => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.title.trim().is_empty() && self.blocks.is_empty()
    }
}

/// What a shape is for.
#[derive(Clone, Copy)]
enum Shape {
    Title,
    Text,
    /// Number, date and footer, which each slide repeats.
    Decoration,
}

impl Shape {
    fn of_placeholder(kind: Option<&str>) -> Self {
        match kind {
            Some("title" | "ctrTitle") => Self::Title,
            Some("sldNum" | "dt" | "ftr" | "hdr" | "sldImg") => Self::Decoration,
            _ => Self::Text,
        }
    }
}
