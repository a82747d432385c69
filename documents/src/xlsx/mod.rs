//! Reads workbooks of Excel.
//!
//! Cells are read one after the other. A table in memory of the size that a sheet declares, or of the distance between its first and
//! its last cell, would let a file of one kilobyte take all memory.

mod cells;
mod dates;
mod formats;
mod sheet;
mod strings;

use crate::draft::Draft;
use crate::package::{Node, Package};
use crate::watch::Watch;
use crate::{Problem, Text};
use cells::Cells;
use formats::Formats;
use strings::Strings;

/// A sheet by its name, and the id of the part that has it.
struct Sheet {
    name: String,
    id: String,
}

/// The text of a workbook: each sheet under a heading with its name, each row as a line that repeats the sheet's header. Formulas are
/// their last results; comments and charts are left out.
pub(crate) fn text(content: &[u8], watch: &Watch) -> Result<Text, Problem> {
    let package = Package::open(content, watch)?;
    let start = package.start("xl/workbook.xml")?;
    let relations = package.relations(&start)?;
    let (sheets, since_1904) = sheets(&package, &start)?;
    watch.check_pages(sheets.len(), "the sheets")?;
    let strings = match relations.of_type("sharedstrings").next() {
        Some(part) => package.part(part)?.map(|xml| Strings::read(xml, watch)).transpose()?.unwrap_or_default(),
        None => Strings::default(),
    };
    let formats = match relations.of_type("styles").next() {
        Some(part) => package.part(part)?.map(Formats::read).transpose()?.unwrap_or_default(),
        None => Formats::default(),
    };
    let cells = Cells { strings, formats, since_1904 };
    let mut draft = Draft::new(watch);
    for sheet in sheets {
        let Some(part) = relations.target(&sheet.id) else { continue };
        if let Some(xml) = package.part(part)? {
            sheet::read(xml, &sheet.name, &cells, &mut draft)?;
        }
    }
    draft.finish()
}

/// The sheets in order, and whether days are counted from 1904, as early Macintoshes did.
fn sheets(package: &Package<'_>, start: &str) -> Result<(Vec<Sheet>, bool), Problem> {
    let mut xml = package.main_part(start)?;
    let mut sheets = Vec::new();
    let mut since_1904 = false;
    while let Some(node) = xml.next()? {
        let Node::Open(tag) = node else { continue };
        match tag.name() {
            b"workbookPr" => since_1904 = matches!(tag.attribute(b"date1904").as_deref(), Some("1" | "true")),
            b"sheet" => {
                let name = tag.attribute(b"name").unwrap_or_default();
                sheets.extend(tag.attribute_with_prefix(b"id").map(|id| Sheet { name, id }));
            }
            _ => {}
        }
    }
    Ok((sheets, since_1904))
}
