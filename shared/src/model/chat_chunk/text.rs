//! Text of chunks. A provider may cut it within a character that JSON writes as two escapes: each chunk then has half of a
//! surrogate pair, which is no text by itself.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A text in which halves of surrogate pairs may stand alone, in the encoding WTF-8.
#[derive(Debug, Clone, Default)]
pub struct ChunkText(Vec<u8>);

/// Joins the halves at the ends of texts that follow each other.
#[derive(Debug, Default)]
pub struct Halves {
    /// The first half of a pair, which the text before ended with.
    first: Option<u16>,
}

impl From<String> for ChunkText {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl ChunkText {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text by itself, with `U+FFFD` for each half.
    #[must_use]
    pub fn alone(&self) -> String {
        let mut halves = Halves::default();
        let text = halves.join(self).into_owned();
        text + halves.end()
    }
}

impl Halves {
    /// The text, joined with a half from the text before. A first half at its end waits for the next text. `U+FFFD` stands
    /// for a half without its other one.
    pub fn join<'a>(&mut self, text: &'a ChunkText) -> Cow<'a, str> {
        match std::str::from_utf8(&text.0) {
            Ok(whole) if self.first.is_none() => Cow::Borrowed(whole),
            _ => Cow::Owned(self.join_halves(&text.0)),
        }
    }

    fn join_halves(&mut self, mut rest: &[u8]) -> String {
        let mut joined = String::with_capacity(rest.len());
        while !rest.is_empty() {
            let (text, half) = match rest.windows(3).position(is_half) {
                Some(at) => (&rest[..at], Some([rest[at + 1], rest[at + 2]])),
                None => (rest, None),
            };
            if !text.is_empty() {
                joined.push_str(self.end());
                joined.push_str(&String::from_utf8_lossy(text));
            }
            if let Some(bytes) = half {
                self.half(0xd000 | u16::from(bytes[0] & 0x3f) << 6 | u16::from(bytes[1] & 0x3f), &mut joined);
            }
            rest = &rest[text.len() + half.map_or(0, |_| 3)..];
        }
        joined
    }

    fn half(&mut self, half: u16, joined: &mut String) {
        if half < 0xdc00 {
            joined.push_str(self.end());
            self.first = Some(half);
            return;
        }
        let pair = self.first.take().map(|first| char::decode_utf16([first, half]).next());
        joined.push(pair.flatten().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER));
    }

    /// What stands for a half whose other one does not come.
    pub fn end(&mut self) -> &'static str {
        if self.first.take().is_some() { "\u{fffd}" } else { "" }
    }
}

/// Whether these bytes are half of a pair in WTF-8.
fn is_half(bytes: &[u8]) -> bool {
    matches!(bytes, [0xed, 0xa0..=0xbf, 0x80..=0xbf])
}

impl<'de> Deserialize<'de> for ChunkText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = ChunkText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<ChunkText, E> {
                Ok(ChunkText(bytes.to_vec()))
            }
        }
        // Only as bytes does `serde_json` read a half.
        deserializer.deserialize_bytes(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chunks: &[&str], expected: &[&str]) {
        let mut halves = Halves::default();
        let text = |chunk: &&str| serde_json::from_str::<ChunkText>(&format!("\"{chunk}\"")).unwrap();
        let mut joined: Vec<String> = chunks.iter().map(|chunk| halves.join(&text(chunk)).into_owned()).collect();
        joined.push(halves.end().to_owned());
        assert_eq!(joined, expected, "{chunks:?}");
    }

    #[test]
    fn halves_are_joined_across_texts_and_else_replaced() {
        check(&["a", "é\\u00e9\\ud83d\\ude00"], &["a", "éé😀", ""]);
        check(&["a\\ud83d", "\\ude00b"], &["a", "😀b", ""]);
        check(&["\\ud83d", "", "\\ude00"], &["", "", "😀", ""]);
        check(&["\\ud83d", "b"], &["", "\u{fffd}b", ""]);
        check(&["\\ud83d", "\\ud83d", "\\ude00"], &["", "\u{fffd}", "😀", ""]);
        check(&["\\ude00a\\ud83d"], &["\u{fffd}a", "\u{fffd}"]);
        check(&["\\ud83d", "é\\ude00"], &["", "\u{fffd}é\u{fffd}", ""]);
    }
}
