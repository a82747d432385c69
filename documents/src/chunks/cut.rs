//! Chooses where a chunk ends and where the next begins.

use std::collections::VecDeque;

use super::piece::{Boundary, Piece};

/// Where a chunk may end, and the part of its tokens that it must have by then. A better boundary is worth a smaller chunk.
const EARLIEST: [(Boundary, usize, usize); 4] =
    [(Boundary::Heading, 1, 2), (Boundary::Paragraph, 2, 3), (Boundary::Sentence, 4, 5), (Boundary::Word, 9, 10)];

/// The number of pieces of the chunk that begins with the first of `open`. The `repeated` first of them were in the last chunk, and
/// `ahead` is the piece that did not fit.
pub(super) fn end(open: &VecDeque<Piece<'_>>, repeated: usize, ahead: Option<&Piece<'_>>, max_tokens: usize) -> usize {
    let Some(ahead) = ahead else { return open.len() };
    let known: usize = open.iter().take(repeated).map(|piece| piece.tokens).sum();
    // Less than this would be new in too few tokens: the chunks would be many times the text.
    let least = known + (max_tokens - known.min(max_tokens)) / 4;
    let mut ends = [None; EARLIEST.len()];
    let mut tokens = 0;
    for (index, piece) in open.iter().enumerate() {
        tokens += piece.tokens;
        let next = open.get(index + 1).unwrap_or(ahead);
        let is_new = index >= repeated && tokens >= least;
        for ((boundary, part, of), end) in EARLIEST.iter().zip(&mut ends) {
            if is_new && next.boundary <= *boundary && tokens * of >= max_tokens * part {
                *end = Some(index + 1);
            }
        }
    }
    ends.into_iter().flatten().next().unwrap_or(open.len())
}

/// The first piece of the next chunk, if this one has the pieces up to `end` and `next` follows.
pub(super) fn start_of_next(
    open: &VecDeque<Piece<'_>>,
    end: usize,
    next: Option<&Piece<'_>>,
    overlap_tokens: usize,
) -> usize {
    if next.is_none_or(|next| next.boundary == Boundary::Heading) {
        return end;
    }
    let mut tokens = 0;
    // The earliest start at a sentence, at a word, and at all.
    let mut starts = [None; 3];
    for (index, piece) in open.iter().enumerate().take(end).skip(1).rev() {
        tokens += piece.tokens;
        if tokens > overlap_tokens {
            break;
        }
        for (boundary, start) in [Boundary::Sentence, Boundary::Word, Boundary::Character].iter().zip(&mut starts) {
            if piece.boundary <= *boundary {
                *start = Some(index);
            }
        }
        if piece.boundary == Boundary::Heading {
            break;
        }
    }
    starts.into_iter().flatten().next().unwrap_or(end)
}
