//! Headings, and the path of those above a place in the text.

use super::piece::{Heading, Piece};

/// The bytes of a heading that a path keeps.
const MAX_BYTES: usize = 200;

/// The headings above a place, the outermost first.
#[derive(Default)]
pub(super) struct Path<'t>(Vec<Heading<'t>>);

impl<'t> Path<'t> {
    /// Moves the place behind a piece.
    pub(super) fn pass(&mut self, piece: &Piece<'t>) {
        let Some(heading) = piece.heading else { return };
        self.0.retain(|above| above.level < heading.level);
        self.0.push(heading);
    }

    pub(super) fn headings(&self) -> Vec<&'t str> {
        self.0.iter().map(|heading| heading.text).collect()
    }
}

/// The heading of a line in Markdown's form, such as `## Pumps`.
pub(super) fn heading(line: &str) -> Option<Heading<'_>> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let text = text.strip_prefix([' ', '\t'])?.trim().trim_end_matches('#').trim_end();
    let is_heading = (1..=6).contains(&level) && !text.is_empty();
    is_heading.then(|| Heading { level, text: &text[..text.floor_char_boundary(MAX_BYTES)] })
}

/// Whether this line begins or ends a program inside of Markdown, whose comments are no headings.
pub(super) fn is_fence(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("```") || line.starts_with("~~~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_six_marks_and_a_space_make_a_heading() {
        assert_eq!(heading("## Pumps ##"), Some(Heading { level: 2, text: "Pumps" }));
        assert_eq!(heading("#Pumps"), None);
        assert_eq!(heading("####### Pumps"), None);
        assert_eq!(heading("#  "), None);
        assert_eq!(heading(" # Pumps"), None);
    }
}
