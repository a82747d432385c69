//! The pieces of a text that chunks are made of.

use std::ops::Range;

/// A part of the text that is in a chunk as a whole: a sentence, a few words, a part of a word. White space before it belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Piece<'t> {
    pub(super) range: Range<usize>,
    pub(super) tokens: usize,
    /// What stands before it.
    pub(super) boundary: Boundary,
    /// The heading that begins with it.
    pub(super) heading: Option<Heading<'t>>,
}

/// Where a text can be cut, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Boundary {
    Heading,
    Paragraph,
    /// Or the end of a line, which ends a row of a table or a statement of a program.
    Sentence,
    Word,
    Character,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heading<'t> {
    pub(super) level: usize,
    pub(super) text: &'t str,
}
