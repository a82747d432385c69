//! Multipliers of a call's cost by the place or the speed at which it is served.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::label::Label;

/// What a call costs, by the word with which the provider says how it served the call. In millionths of the price; a word without an entry
/// leaves the price as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multipliers {
    #[serde(default)]
    by_word: BTreeMap<Label, u64>,
    /// That of the word that the request asked for: it counts for an answer that says nothing.
    #[serde(default)]
    asked: Option<u64>,
}

impl Multipliers {
    /// The price as it is.
    pub const ONE: u64 = 1_000_000;

    #[must_use]
    pub fn new(by_word: BTreeMap<Label, u64>) -> Self {
        Self { by_word, asked: None }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_word.is_empty() && self.asked.is_none()
    }

    /// Those of a call that asks for `word`: no other can come.
    pub(super) fn asked(&self, word: Label) -> Self {
        let asked = self.by_word.get(&word).copied();
        Self { by_word: asked.map(|multiplier| (word, multiplier)).into_iter().collect(), asked }
    }

    /// Whether the word that the request asked for has a multiplier.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// The multiplier of an answer with this word.
    pub(super) fn of(&self, word: Label) -> u64 {
        if word.is_empty() {
            return self.asked.unwrap_or(Self::ONE);
        }
        self.by_word.get(&word).copied().unwrap_or(Self::ONE)
    }

    /// The highest that an answer can have.
    pub(super) fn highest(&self) -> u64 {
        self.by_word.values().copied().chain(self.asked).fold(Self::ONE, u64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_decides_and_else_the_request() {
        let word = Label::new;
        let all = Multipliers::new(BTreeMap::from([(word("us"), 1_100_000), (word("eu"), 1_300_000)]));
        let of = |multipliers: &Multipliers| ["us", "eu", "global", ""].map(|answer| multipliers.of(word(answer)));
        assert_eq!((of(&all), all.highest()), ([1_100_000, 1_300_000, 1_000_000, 1_000_000], 1_300_000));
        let us = all.asked(word("us"));
        assert_eq!((of(&us), us.highest()), ([1_100_000, 1_000_000, 1_000_000, 1_100_000], 1_100_000));
        let global = all.asked(word("global"));
        assert_eq!((global.highest(), us.has_asked(), global.has_asked()), (1_000_000, true, false));
    }
}
