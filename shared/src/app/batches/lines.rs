//! Splitting a file into lines while it is read, in little memory whatever the file has.

use bytes::{Bytes, BytesMut};

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileLine {
    /// Counted from 1. Empty lines count.
    pub(super) number: u64,
    /// Its first byte in the file.
    pub(super) at: u64,
    /// With its end.
    pub(super) bytes: u64,
    /// Without its end; `None`: it is longer than it may be.
    pub(super) text: Option<Bytes>,
}

impl FileLine {
    /// Whether the line has nothing but spaces.
    pub(super) fn is_empty(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.iter().all(u8::is_ascii_whitespace))
    }
}

/// Finds the lines in the pieces of a file.
pub(super) struct Lines {
    rest: BytesMut,
    /// How much of `rest` has no end of a line.
    seen: usize,
    /// Bytes of the current line that were dropped, because it is too long.
    dropped: u64,
    at: u64,
    number: u64,
    most: usize,
}

/// What some programs write at the beginning of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Lines {
    /// The lines of a part of a file that begins at a byte, with the line of this number. A line has `most` bytes at most.
    pub(super) fn from(at: u64, number: u64, most: usize) -> Self {
        Self { rest: BytesMut::new(), seen: 0, dropped: 0, at, number, most }
    }

    /// Takes the next piece of the file. Take all lines before the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
    }

    /// The next line that has an end.
    pub(super) fn next(&mut self) -> Option<FileLine> {
        let Some(end) = self.rest[self.seen..].iter().position(|byte| *byte == b'\n') else {
            self.seen = self.rest.len();
            if self.seen > self.most {
                self.dropped += self.seen as u64;
                self.rest.clear();
                self.seen = 0;
            }
            return None;
        };
        Some(self.line(self.seen + end + 1))
    }

    /// The last line, if the file does not end with the end of a line.
    pub(super) fn last(mut self) -> Option<FileLine> {
        let length = self.rest.len();
        (length > 0 || self.dropped > 0).then(|| self.line(length))
    }

    fn line(&mut self, length: usize) -> FileLine {
        let text = self.rest.split_to(length).freeze();
        let bytes = std::mem::take(&mut self.dropped) + length as u64;
        let (number, at) = (self.number, self.at);
        (self.seen, self.number, self.at) = (0, number + 1, at + bytes);
        let is_whole = bytes == length as u64 && length <= self.most;
        FileLine { number, at, bytes, text: is_whole.then(|| trimmed(text, at)) }
    }
}

fn trimmed(text: Bytes, at: u64) -> Bytes {
    let end = text.strip_suffix(b"\n").unwrap_or(&text);
    let end = end.strip_suffix(b"\r").unwrap_or(end);
    let begin = if at == 0 { end.strip_prefix(BYTE_ORDER_MARK).unwrap_or(end) } else { end };
    text.slice_ref(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(file: &[u8], piece: usize, most: usize) -> Vec<FileLine> {
        let mut lines = Lines::from(0, 1, most);
        let mut found = Vec::new();
        for piece in file.chunks(piece) {
            lines.push(piece);
            found.extend(std::iter::from_fn(|| lines.next()));
        }
        found.extend(lines.last());
        found
    }

    #[test]
    fn lines_are_the_same_in_pieces_of_any_size() {
        let file = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n\xff\xfe\nlast";
        let expected = split(file, file.len(), 100);
        for piece in 1..file.len() {
            assert_eq!(split(file, piece, 100), expected, "{piece}");
        }
        let texts: Vec<_> = expected.iter().map(|line| line.text.clone().unwrap()).collect();
        assert_eq!(texts, [&b"{\"a\":1}"[..], b"", b"  ", b"\xff\xfe", b"last"]);
        assert_eq!(expected.iter().map(FileLine::is_empty).collect::<Vec<_>>(), [false, true, true, false, false]);
        assert_eq!(expected.iter().map(|line| line.bytes).sum::<u64>(), file.len() as u64);
        assert_eq!(expected.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(split(b"", 1, 100), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept_and_the_next_one_is_read() {
        let file = [&[b'x'; 5_000][..], b"\nshort\n", &[b'y'; 5_000]].concat();
        for piece in [1, 7, 4_000, 20_000] {
            let lines = split(&file, piece, 1_000);
            let texts: Vec<_> = lines.iter().map(|line| line.text.as_deref()).collect();
            assert_eq!(texts, [None, Some(&b"short"[..]), None], "{piece}");
            assert_eq!((lines[1].at, lines[2].at), (5_001, 5_007));
        }
    }
}
