//! Divides a text into pieces and counts their tokens.

use std::collections::VecDeque;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::lines::{Line, Lines};
use super::piece::{Boundary, Heading, Piece};
use crate::Text;

/// The most bytes that the tokenizer gets at once.
const MAX_BYTES: usize = 1_000;
/// The bytes of words that are counted together where a sentence is divided.
const WORDS_BYTES: usize = 64;

pub(super) struct Pieces<'t> {
    text: &'t str,
    lines: Lines<'t>,
    tokens: &'t dyn Fn(&str) -> usize,
    max_tokens: usize,
    ready: VecDeque<Piece<'t>>,
    /// The end of the last piece. The white space from there on belongs to the next.
    end: usize,
    heading: Option<Heading<'t>>,
}

impl<'t> Pieces<'t> {
    pub(super) fn new(text: &'t Text, max_tokens: usize, tokens: &'t dyn Fn(&str) -> usize) -> Self {
        Self {
            text: text.as_str(),
            lines: Lines::new(text),
            tokens,
            max_tokens,
            ready: VecDeque::new(),
            end: 0,
            heading: None,
        }
    }

    fn divide_line(&mut self, line: &Line<'t>) {
        self.divide_space(line.range.start, line.boundary);
        self.heading = line.heading;
        let mut boundary = line.boundary;
        // A heading is one piece where it can be: a number at its beginning looks like a sentence.
        let text = &self.text[line.range.clone()];
        if line.heading.is_some() {
            return self.divide_sentence(line.range.end, boundary);
        }
        for sentence in text.split_sentence_bounds() {
            let trimmed = sentence.trim_end();
            if !trimmed.is_empty() {
                self.divide_sentence(line.range.start + offset(text, trimmed) + trimmed.len(), boundary);
                boundary = Boundary::Sentence;
            }
        }
    }

    /// Makes pieces of the white space before a place, if it is too much for the piece that follows.
    fn divide_space(&mut self, start: usize, boundary: Boundary) {
        while start - self.end > MAX_BYTES / 4 {
            let end = self.text.floor_char_boundary(self.end + MAX_BYTES).min(start);
            let range = self.end..end;
            self.push(range, boundary, None);
        }
    }

    /// Makes a piece of the sentence that ends here, or several: a large one would leave chunks half empty.
    fn divide_sentence(&mut self, end: usize, boundary: Boundary) {
        let range = self.end..end;
        if range.len() <= MAX_BYTES {
            let tokens = self.measure(&range);
            if tokens <= self.max_tokens / 4 {
                return self.push(range, boundary, Some(tokens));
            }
        }
        self.divide_words(range, boundary);
    }

    fn divide_words(&mut self, range: Range<usize>, boundary: Boundary) {
        let text = self.text;
        let mut boundary = boundary;
        let mut words = range.start;
        let mut at = range.start;
        while at < range.end {
            let rest = &text[at..range.end];
            let space = rest.len() - rest.trim_start().len();
            let word = rest[space..].find(char::is_whitespace).unwrap_or(rest.len() - space);
            let next = at + space + word;
            if next - words > WORDS_BYTES && words < at {
                self.push_words(words..at, boundary);
                boundary = Boundary::Word;
                words = at;
            }
            at = next;
        }
        self.push_words(words..range.end, boundary);
    }

    /// Makes a piece of a few words, or several of one that is very long.
    fn push_words(&mut self, range: Range<usize>, boundary: Boundary) {
        if range.len() <= WORDS_BYTES {
            let tokens = self.measure(&range);
            if tokens <= self.max_tokens {
                return self.push(range, boundary, Some(tokens));
            }
        }
        self.divide_characters(range, boundary);
    }

    fn divide_characters(&mut self, range: Range<usize>, boundary: Boundary) {
        let text = self.text;
        let mut boundary = boundary;
        let mut start = range.start;
        let mut end = range.start;
        for character in text[range].graphemes(true) {
            if end - start + character.len() > WORDS_BYTES && start < end {
                self.push_characters(start..end, boundary);
                boundary = Boundary::Character;
                start = end;
            }
            end += character.len();
        }
        self.push_characters(start..end, boundary);
    }

    /// Makes a piece of a few characters. One with hundreds of accents, or a counter that finds more tokens than bytes, ends between
    /// code points.
    fn push_characters(&mut self, range: Range<usize>, boundary: Boundary) {
        let text = self.text;
        if range.len() <= MAX_BYTES {
            let tokens = self.measure(&range);
            if tokens <= self.max_tokens {
                return self.push(range, boundary, Some(tokens));
            }
        }
        let mut boundary = boundary;
        for (at, c) in text[range.clone()].char_indices() {
            let start = range.start + at;
            self.push(start..start + c.len_utf8(), boundary, None);
            boundary = Boundary::Character;
        }
    }

    fn push(&mut self, range: Range<usize>, boundary: Boundary, tokens: Option<usize>) {
        let tokens = tokens.unwrap_or_else(|| self.measure(&range));
        self.end = range.end;
        self.ready.push_back(Piece { range, tokens, boundary, heading: self.heading.take() });
    }

    fn measure(&self, range: &Range<usize>) -> usize {
        (self.tokens)(&self.text[range.clone()])
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        while self.ready.is_empty() {
            let line = self.lines.next()?;
            self.divide_line(&line);
        }
        self.ready.pop_front()
    }
}

/// Where a part begins in its text.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}
