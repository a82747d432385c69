//! What a call is charged, and the most that it can use.

use std::ops::Add;

use super::price::Price;
use super::usage::{Served, Usage};
use crate::model::money::MicroUsd;

/// What a call is charged. The default is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Charge {
    pub usage: Usage,
    pub cost: MicroUsd,
    /// The cost that the provider reported beyond the worst case. It is not charged.
    pub excess: MicroUsd,
}

impl Charge {
    /// The charge for `usage` at `price`; its cost is nothing without a price.
    #[must_use]
    pub fn at(price: Option<&Price>, usage: Usage) -> Self {
        Self { usage, cost: price.map_or(MicroUsd(0), |price| price.cost(&usage)), excess: MicroUsd(0) }
    }

    /// The charge for a usage that a provider reported. A provider that reports more than the call can use is not believed:
    /// nothing was reserved for the rest.
    #[must_use]
    pub fn reported(price: Option<&Price>, usage: Usage, bound: &Bound) -> Self {
        let believed = Self::at(price, bound.cut(usage));
        let claimed = Self::at(price, usage).cost;
        Self { excess: MicroUsd(claimed.0.saturating_sub(believed.cost.0)), ..believed }
    }

    /// The most that `usage` can cost at `price`, for any kinds of tokens.
    #[must_use]
    pub fn at_most(price: Option<&Price>, usage: Usage) -> Self {
        let bound = Bound { input: usage.input, output: usage.output, pieces: usage.pieces };
        Self { usage, cost: price.map_or(MicroUsd(0), |price| price.worst_case(&bound)), excess: MicroUsd(0) }
    }

    /// Input and output tokens together.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.usage.input.saturating_add(self.usage.output)
    }
}

impl Add for Charge {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self.usage += other.usage;
        self.cost += other.cost;
        self.excess += other.excess;
        self
    }
}

/// The rule for the charge of an attempt that the provider may bill, and that ended without a usage. See decision 5.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreported {
    /// All that was reserved for it.
    #[default]
    WorstCase,
    /// All of its input, and one output token for each byte that was received.
    Received,
    Nothing,
}

impl Unreported {
    /// The usage to charge for an attempt that got so many bytes; at most the bound.
    #[must_use]
    pub fn usage(self, bound: &Bound, received_bytes: u64) -> Usage {
        match self {
            Self::WorstCase => bound.whole(),
            Self::Received => bound.estimate(received_bytes),
            Self::Nothing => Usage::default(),
        }
    }
}

/// The most tokens and pieces that a call can use; see `dialects::openai_chat::bound`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bound {
    pub input: u64,
    pub output: u64,
    pub pieces: u64,
}

impl Bound {
    /// The usage of a call that uses all of its bound.
    fn whole(&self) -> Usage {
        Usage { input: self.input, output: self.output, pieces: self.pieces, ..Usage::default() }
    }

    /// The usage without the tokens and pieces that exceed the bound.
    #[must_use]
    pub(super) fn cut(&self, usage: Usage) -> Usage {
        let input = usage.input.min(self.input);
        let cached_input = usage.cached_input.min(input);
        let cache_write = usage.cache_write.min(input - cached_input);
        let cache_write_12h = usage.cache_write_12h.min(cache_write);
        let cache_write_1h = usage.cache_write_1h.min(cache_write - cache_write_12h);
        let output = usage.output.min(self.output);
        Usage {
            input,
            cached_input,
            cached_audio: usage.cached_audio.min(cached_input),
            cache_write,
            cache_write_30m: usage.cache_write_30m.min(cache_write - cache_write_12h - cache_write_1h),
            cache_write_1h,
            cache_write_12h,
            audio_input: usage.audio_input.min(input),
            image_input: usage.image_input.min(input),
            output,
            reasoning: usage.reasoning.min(output),
            audio_output: usage.audio_output.min(output),
            image_output: usage.image_output.min(output),
            pieces: usage.pieces.min(self.pieces),
            served: Served { longest_prompt: usage.served.longest_prompt.min(input), ..usage.served },
        }
    }

    /// Estimates the usage of a call that broke off: all of its input, and one output token for each byte that arrived, at most the
    /// bound. Reasoning that a provider hides leaves no bytes; see decision 5.
    #[must_use]
    pub fn estimate(&self, received_bytes: u64) -> Usage {
        Usage { output: received_bytes.min(self.output), ..self.whole() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tokens::Rates;

    #[test]
    fn a_usage_beyond_the_worst_case_is_cut_and_the_excess_is_known() {
        let rates = Rates { cached_input: 1, cache_write: 5, cache_write_1h: 60, reasoning: 9, ..Rates::flat(3, 7) };
        let price = Price { pieces: 11, ..Price::from(rates) };
        let bound = Bound { input: 1_000_000, output: 1_000_000, pieces: 1_000_000 };
        let plausible = Usage { input: 1_000_000, output: 1, reasoning: 1, ..Usage::default() };
        assert_eq!(Charge::reported(Some(&price), plausible, &bound), Charge::at(Some(&price), plausible));
        for absurd in [1_000_001, 1 << 50, u64::MAX] {
            let (input, output) = (absurd, absurd);
            let usage =
                Usage { input, cache_write_1h: absurd, output, reasoning: absurd, pieces: absurd, ..Usage::default() };
            let Charge { usage: cut, cost, excess } = Charge::reported(Some(&price), usage, &bound);
            assert!(cost <= price.worst_case(&bound), "{absurd}");
            let within = (cut.input, cut.output, cut.pieces) == (bound.input, bound.output, bound.pieces);
            assert!(within && excess > MicroUsd(0), "{absurd}");
            let unpriced = Charge::reported(None, usage, &bound);
            assert_eq!((unpriced.usage, unpriced.cost, unpriced.excess), (cut, MicroUsd(0), MicroUsd(0)));
        }
    }
}
