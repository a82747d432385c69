//! The strings that the cells of a workbook share.

use crate::Problem;
use crate::package::{Node, Xml};
use crate::watch::Watch;

/// The part of the bytes that may be unpacked which shared strings may hold in memory.
const SHARE_OF_UNPACKED: u64 = 8;

/// All shared strings, one after the other, and where each ends. A string of its own for each would cost more than its characters.
#[derive(Default)]
pub(super) struct Strings {
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    pub(super) fn read(mut xml: Xml<'_>, watch: &Watch) -> Result<Self, Problem> {
        let limit = watch.limits().unpacked_bytes / SHARE_OF_UNPACKED;
        let mut strings = Self::default();
        let mut is_text = false;
        // Phonetic text repeats the words of a string for their pronunciation.
        let mut is_phonetic = false;
        while let Some(node) = xml.next()? {
            match node {
                Node::Open(tag) => match tag.name() {
                    b"t" => is_text = true,
                    b"rPh" => is_phonetic = true,
                    _ => {}
                },
                Node::Close(b"t") => is_text = false,
                Node::Close(b"rPh") => is_phonetic = false,
                Node::Close(b"si") => strings.end(limit)?,
                Node::Text(text) if is_text && !is_phonetic => strings.text.push_str(&text),
                Node::Close(_) | Node::Text(_) | Node::Other => {}
            }
        }
        Ok(strings)
    }

    /// The string with this number.
    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.text.get(begin..end)
    }

    fn end(&mut self, limit: u64) -> Result<(), Problem> {
        let too_large = Problem::TooLarge { what: "the bytes of its shared strings", limit };
        if self.text.len() as u64 > limit {
            return Err(too_large);
        }
        self.ends.push(u32::try_from(self.text.len()).map_err(|_| too_large)?);
        Ok(())
    }
}
