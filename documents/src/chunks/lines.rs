//! The lines of a text, and what stands before each.

use std::ops::Range;

use super::headings::{heading, is_fence};
use super::piece::{Boundary, Heading};
use crate::Text;

/// The bytes of a line that are looked at together. Rules about sentences look ahead as far as they can.
const MAX_BYTES: usize = 4 * 1_024;

/// A line with words, or a part of one that is very long.
pub(super) struct Line<'t> {
    /// Without the white space around it.
    pub(super) range: Range<usize>,
    pub(super) boundary: Boundary,
    pub(super) heading: Option<Heading<'t>>,
}

pub(super) struct Lines<'t> {
    text: &'t str,
    has_headings: bool,
    at: usize,
    is_inside_line: bool,
    is_inside_fence: bool,
    follows_heading: bool,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t Text) -> Self {
        Self {
            text: text.as_str(),
            has_headings: text.has_headings(),
            at: 0,
            is_inside_line: false,
            is_inside_fence: false,
            follows_heading: false,
        }
    }

    fn heading(&mut self, line: &'t str) -> Option<Heading<'t>> {
        if !self.has_headings {
            return None;
        }
        if is_fence(line) {
            self.is_inside_fence = !self.is_inside_fence;
        }
        if self.is_inside_fence { None } else { heading(line) }
    }
}

impl<'t> Iterator for Lines<'t> {
    type Item = Line<'t>;

    fn next(&mut self) -> Option<Line<'t>> {
        let mut follows_blank = false;
        loop {
            let rest = &self.text[self.at..];
            if rest.is_empty() {
                return None;
            }
            let whole = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |end| end + 1);
            let end = if whole > MAX_BYTES { end_of_part(&rest[..rest.floor_char_boundary(MAX_BYTES)]) } else { whole };
            let (start, part) = (self.at, &rest[..end]);
            let is_first = !std::mem::replace(&mut self.is_inside_line, end < whole);
            self.at += end;
            let text = part.trim();
            if text.is_empty() {
                follows_blank |= is_first && end == whole;
                continue;
            }
            let heading = if is_first { self.heading(part.trim_end()) } else { None };
            let follows_heading = std::mem::replace(&mut self.follows_heading, heading.is_some());
            let boundary = match heading {
                Some(_) => Boundary::Heading,
                // A heading stays with the words below it.
                None if !is_first || follows_heading => Boundary::Word,
                None if follows_blank => Boundary::Paragraph,
                None => Boundary::Sentence,
            };
            let start = start + (part.len() - part.trim_start().len());
            return Some(Line { range: start..start + text.len(), boundary, heading });
        }
    }
}

/// The end of the words that are looked at together: white space, or the end of a character.
fn end_of_part(part: &str) -> usize {
    use unicode_segmentation::UnicodeSegmentation;
    if let Some((at, _)) = part.char_indices().rev().find(|(_, c)| c.is_whitespace())
        && at > 0
    {
        return at;
    }
    // The last character may go on behind the part.
    part.grapheme_indices(true).next_back().map(|(at, _)| at).filter(|at| *at > 0).unwrap_or(part.len())
}
