//! Cuts a text into chunks.

mod cut;
mod headings;
mod lines;
mod piece;
mod pieces;
mod strategy;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;

use crate::Text;
use headings::Path;
use piece::Piece;
use pieces::Pieces;
pub use strategy::{ChunkingStrategy, StrategyError};

/// A part of a text that one vector stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk<'t> {
    /// The bytes of the text that this is.
    pub range: Range<usize>,
    pub text: &'t str,
    /// An upper bound of the tokens: the sum over the pieces that were counted.
    pub tokens: usize,
    /// The headings that the chunk stands under, the outermost first. Headings inside of the chunk are not among them.
    pub headings: Vec<&'t str>,
}

/// Cuts a text into chunks, in one pass.
///
/// A chunk has at most `max_tokens`. It ends before a heading, a paragraph, a sentence or a word, whichever of them comes first in this
/// list and not too early in the chunk. Where a single word is larger than a chunk, it ends between two characters.
///
/// The next chunk repeats up to `overlap_tokens` from the end of the last, in whole sentences where there are any. It repeats nothing
/// from before a heading, because another section is another subject.
///
/// Each byte that is no white space is in at least one chunk. The same text has the same chunks. Time grows with the length of the
/// text, and memory with the size of a chunk.
///
/// # Tokens
///
/// `tokens` counts the tokens of a string. It is asked for pieces of at most 1,000 bytes, because tokenizers take quadratic time for a
/// very long word, and the counts are added. Cut pieces have as many tokens as the whole or more, apart from rare exceptions of one
/// token, so a sum is an upper bound that is good enough. A counter that finds more than `max_tokens` in a single character gets a
/// chunk of that character.
pub struct Chunks<'t> {
    text: &'t str,
    strategy: ChunkingStrategy,
    pieces: Pieces<'t>,
    /// The piece that follows those of `open`.
    ahead: Option<Piece<'t>>,
    /// The pieces of the next chunk so far.
    open: VecDeque<Piece<'t>>,
    /// The first of them that were in the last chunk already.
    repeated: usize,
    /// The sum over `open`.
    tokens: usize,
    /// The end of the last chunk.
    end: usize,
    path: Path<'t>,
}

impl<'t> Chunks<'t> {
    #[must_use]
    pub fn new(text: &'t Text, strategy: ChunkingStrategy, tokens: &'t dyn Fn(&str) -> usize) -> Self {
        let mut pieces = Pieces::new(text, strategy.max_tokens(), tokens);
        let ahead = pieces.next();
        Self {
            text: text.as_str(),
            strategy,
            pieces,
            ahead,
            open: VecDeque::new(),
            repeated: 0,
            tokens: 0,
            end: 0,
            path: Path::default(),
        }
    }

    /// Adds pieces until the next does not fit.
    fn fill(&mut self) {
        while let Some(piece) = &self.ahead {
            let fits = self.tokens + piece.tokens <= self.strategy.max_tokens();
            let is_alone = self.open.is_empty();
            if !fits && !is_alone {
                return;
            }
            self.tokens += piece.tokens;
            self.open.extend(self.ahead.take());
            self.ahead = self.pieces.next();
            if !fits {
                return;
            }
        }
    }

    /// Makes room for the next piece, so that the next chunk has something new.
    fn make_room(&mut self, tokens: usize) {
        while self.tokens + tokens > self.strategy.max_tokens() && self.repeated > 0 {
            self.drop_first();
            self.repeated -= 1;
        }
    }

    fn drop_first(&mut self) {
        if let Some(piece) = self.open.pop_front() {
            self.tokens -= piece.tokens;
            self.path.pass(&piece);
        }
    }

    /// The chunk of the first pieces.
    fn chunk(&self, pieces: usize) -> Option<Chunk<'t>> {
        let (first, last) = (self.open.front()?, self.open.get(pieces.checked_sub(1)?)?);
        let whole = &self.text[first.range.start..last.range.end];
        let text = whole.trim();
        let start = first.range.start + (whole.len() - whole.trim_start().len());
        let tokens = self.open.iter().take(pieces).map(|piece| piece.tokens).sum();
        let chunk = Chunk { range: start..start + text.len(), text, tokens, headings: self.path.headings() };
        (!text.is_empty()).then_some(chunk)
    }
}

impl<'t> Iterator for Chunks<'t> {
    type Item = Chunk<'t>;

    fn next(&mut self) -> Option<Chunk<'t>> {
        loop {
            self.fill();
            if self.open.len() == self.repeated {
                let tokens = self.ahead.as_ref()?.tokens;
                self.make_room(tokens);
                continue;
            }
            let end = cut::end(&self.open, self.repeated, self.ahead.as_ref(), self.strategy.max_tokens());
            let chunk = self.chunk(end);
            let next = self.open.get(end).or(self.ahead.as_ref());
            let start = cut::start_of_next(&self.open, end, next, self.strategy.overlap_tokens());
            for _ in 0..start {
                self.drop_first();
            }
            self.repeated = end - start;
            // Pieces of white space alone make no chunk, and add nothing to what is repeated.
            if let Some(chunk) = chunk.filter(|chunk| chunk.range.end > self.end) {
                self.end = chunk.range.end;
                return Some(chunk);
            }
        }
    }
}
