//! Reads documents of Word.

mod body;
mod styles;

use crate::draft::Draft;
use crate::package::Package;
use crate::watch::Watch;
use crate::{Problem, Text};
use body::Body;
use styles::Styles;

/// The text of a document: its body, then its footnotes and endnotes. Headers and footers repeat on each page and are left out, and so
/// are comments and words that were deleted while changes were tracked.
pub(crate) fn text(content: &[u8], watch: &Watch) -> Result<Text, Problem> {
    let package = Package::open(content, watch)?;
    let start = package.start("word/document.xml")?;
    let relations = package.relations(&start)?;
    let styles = match relations.of_type("styles").next() {
        Some(part) => package.part(part)?.map(Styles::read).transpose()?.unwrap_or_default(),
        None => Styles::default(),
    };
    let mut draft = Draft::new(watch);
    Body::new(&styles, &mut draft).read(package.main_part(&start)?)?;
    for kind in ["footnotes", "endnotes"] {
        for part in relations.of_type(kind) {
            if let Some(notes) = package.part(part)? {
                Body::new(&styles, &mut draft).read(notes)?;
            }
        }
    }
    draft.finish()
}
