//! What a part refers to.

use std::collections::HashMap;

use super::{Node, Xml};
use crate::Problem;

/// The parts that a part refers to, by the ids that it uses for them.
#[derive(Default)]
pub(crate) struct Relations {
    targets: HashMap<String, String>,
    /// Type and target, in the order of the part.
    types: Vec<(String, String)>,
}

impl Relations {
    pub(super) fn read(mut xml: Xml<'_>, folder: &str) -> Result<Self, Problem> {
        let mut relations = Self::default();
        while let Some(node) = xml.next()? {
            let Node::Open(tag) = node else { continue };
            let (Some(id), Some(target)) = (tag.attribute(b"Id"), tag.attribute(b"Target")) else { continue };
            if tag.attribute(b"TargetMode").as_deref() == Some("External") {
                continue;
            }
            let target = resolve(folder, &target);
            let kind = tag.attribute(b"Type").unwrap_or_default().to_ascii_lowercase();
            relations.types.push((kind, target.clone()));
            relations.targets.insert(id, target);
        }
        Ok(relations)
    }

    /// The part with this id.
    pub(crate) fn target(&self, id: &str) -> Option<&str> {
        self.targets.get(id).map(String::as_str)
    }

    /// The parts whose type ends with this word, which is in lower case. What stands before the word depends on the edition of the standard.
    pub(crate) fn of_type(&self, word: &str) -> impl Iterator<Item = &str> {
        let is_of_type = move |kind: &str| kind.rsplit('/').next() == Some(word);
        self.types.iter().filter(move |(kind, _)| is_of_type(kind)).map(|(_, target)| target.as_str())
    }
}

/// The name of a part that a part in a folder refers to.
fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut names: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
    for name in target.split('/') {
        match name {
            ".." => drop(names.pop()),
            "." | "" => {}
            name => names.push(name),
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn targets_are_relative_to_the_folder_of_their_part() {
        assert_eq!(resolve("ppt/slides", "../notesSlides/notesSlide1.xml"), "ppt/notesSlides/notesSlide1.xml");
        assert_eq!(resolve("xl", "worksheets/sheet1.xml"), "xl/worksheets/sheet1.xml");
        assert_eq!(resolve("xl", "/xl/worksheets/sheet1.xml"), "xl/worksheets/sheet1.xml");
        assert_eq!(resolve("", "./word/document.xml"), "word/document.xml");
        assert_eq!(resolve("", "../../a"), "a");
    }
}
