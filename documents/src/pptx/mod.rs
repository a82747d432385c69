//! Reads presentations of `PowerPoint`.

mod slide;

use crate::draft::Draft;
use crate::package::{Node, Package};
use crate::watch::Watch;
use crate::{Problem, Text};

/// The text of a presentation: each slide under a heading with its number and title, and its notes. Words inside of charts and
/// diagrams are left out.
pub(crate) fn text(content: &[u8], watch: &Watch) -> Result<Text, Problem> {
    let package = Package::open(content, watch)?;
    let start = package.start("ppt/presentation.xml")?;
    let relations = package.relations(&start)?;
    let slides = slides(&package, &start)?;
    watch.check_pages(slides.len(), "the slides")?;
    let mut draft = Draft::new(watch);
    for (index, id) in slides.iter().enumerate() {
        if let Some(part) = relations.target(id) {
            slide::read(&package, part, index + 1, &mut draft)?;
        }
    }
    draft.finish()
}

/// The ids of the slides, in order.
fn slides(package: &Package<'_>, start: &str) -> Result<Vec<String>, Problem> {
    let mut xml = package.main_part(start)?;
    let mut slides = Vec::new();
    while let Some(node) = xml.next()? {
        let Node::Open(tag) = node else { continue };
        // A slide's own number has no prefix, and the id of the relation has one.
        if tag.name() == b"sldId"
            && let Some(id) = tag.attribute_with_prefix(b"id")
        {
            slides.push(id);
        }
    }
    Ok(slides)
}
