//! The styles of a document: which of them are for headings and for items of lists.

use std::collections::HashMap;

use crate::Problem;
use crate::package::{Node, Xml};

/// The styles that one may be based on, one after the other.
const MAX_BASES: usize = 16;

/// The styles by their ids.
#[derive(Default)]
pub(super) struct Styles(HashMap<String, Style>);

#[derive(Default)]
struct Style {
    /// The level of its headings.
    level: Option<usize>,
    /// Whether it numbers its paragraphs, or marks them with bullets.
    is_item: bool,
    base: Option<String>,
}

impl Styles {
    pub(super) fn read(mut xml: Xml<'_>) -> Result<Self, Problem> {
        let mut styles: HashMap<String, Style> = HashMap::new();
        let mut open = None;
        while let Some(node) = xml.next()? {
            let Node::Open(tag) = node else { continue };
            if tag.name() == b"style" {
                open = tag.attribute(b"styleId");
                continue;
            }
            let Some(id) = &open else { continue };
            let style = styles.entry(id.clone()).or_default();
            if tag.name() == b"numPr" {
                style.is_item = true;
            }
            let Some(value) = tag.attribute(b"val") else { continue };
            match tag.name() {
                b"name" => style.level = style.level.or(level_of_name(&value)),
                b"outlineLvl" => style.level = style.level.or(level_of_outline(&value)),
                b"basedOn" => style.base = Some(value),
                _ => {}
            }
        }
        Ok(Self(styles))
    }

    /// The level of a style's headings; `None` if it is not for headings. A document without styles uses the names that Word gives.
    pub(super) fn level(&self, id: &str) -> Option<usize> {
        self.with_bases(id).find_map(|style| style.level).or_else(|| level_of_name(id))
    }

    /// Whether a style is for items of a list.
    pub(super) fn is_item(&self, id: &str) -> bool {
        self.with_bases(id).any(|style| style.is_item)
    }

    /// A style, and those that it is based on.
    fn with_bases(&self, id: &str) -> impl Iterator<Item = &Style> {
        let based_on = |style: &&Style| self.0.get(style.base.as_deref()?);
        std::iter::successors(self.0.get(id), based_on).take(MAX_BASES)
    }
}

/// The level by a style's name, which is in English whatever the language of Word: `Title`, `heading 1`, and ids such as `Heading1`.
fn level_of_name(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    if name == "title" {
        return Some(1);
    }
    let level = name.strip_prefix("heading")?.trim().parse().ok()?;
    (1..=9).contains(&level).then_some(level)
}

/// The level by a paragraph's place in the outline, which counts from zero. Nine is the body.
pub(super) fn level_of_outline(value: &str) -> Option<usize> {
    value.parse().ok().filter(|level| *level < 9).map(|level: usize| level + 1)
}
