//! A short word of a provider, such as `fast` or `us`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A word of at most 16 bytes. It lies in a usage, which is copied often. Of a longer word it has the beginning. The default
/// is no word.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label([u8; Self::LENGTH]);

impl Label {
    /// The most bytes of a word.
    pub const LENGTH: usize = 16;

    #[must_use]
    pub fn new(word: &str) -> Self {
        let mut bytes = [0; Self::LENGTH];
        let word = &word[..word.floor_char_boundary(Self::LENGTH)];
        bytes[..word.len()].copy_from_slice(word.as_bytes());
        Self(bytes)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default().trim_end_matches('\0')
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_str().is_empty()
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_back_and_a_long_one_is_cut_between_characters() {
        for (word, kept) in
            [("", ""), ("us", "us"), ("0123456789abcdef", "0123456789abcdef"), ("0123456789abcdeä", "0123456789abcde")]
        {
            assert_eq!(Label::new(word).as_str(), kept);
        }
        assert!(Label::new("").is_empty() && Label::new("us") > Label::default());
    }
}
