//! The styles of a document: which of them are headings.

use std::collections::HashMap;

use crate::Problem;
use crate::package::{Node, Xml};

/// The styles that one may be based on, one after the other.
const MAX_BASES: usize = 16;

/// The levels of headings, by style.
#[derive(Default)]
pub(super) struct Styles {
    levels: HashMap<String, usize>,
}

#[derive(Default)]
struct Style {
    level: Option<usize>,
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
            let (Some(id), Some(value)) = (&open, tag.attribute(b"val")) else { continue };
            let style = styles.entry(id.clone()).or_default();
            match tag.name() {
                b"name" => style.level = style.level.or(level_of_name(&value)),
                b"outlineLvl" => style.level = style.level.or(level_of_outline(&value)),
                b"basedOn" => style.base = Some(value),
                _ => {}
            }
        }
        let level = |id: &String| inherited(id, &styles).map(|level| (id.clone(), level));
        Ok(Self { levels: styles.keys().filter_map(level).collect() })
    }

    /// The level of a style's headings; `None` if it is not for headings. A document without styles uses the names that Word gives.
    pub(super) fn level(&self, id: &str) -> Option<usize> {
        self.levels.get(id).copied().or_else(|| level_of_name(id))
    }
}

fn inherited(id: &str, styles: &HashMap<String, Style>) -> Option<usize> {
    let mut id = id;
    for _ in 0..MAX_BASES {
        let style = styles.get(id)?;
        if style.level.is_some() {
            return style.level;
        }
        id = style.base.as_deref()?;
    }
    None
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
