//! Tokens and pieces of a call, and their cost.

use std::ops::{Add, AddAssign};

use super::money::MicroUsd;

/// Tokens of one call, as the provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, including those that the provider's prompt cache served or stored.
    pub input: u64,
    /// Input tokens that the provider's prompt cache served.
    pub cached_input: u64,
    /// Input tokens that the provider's prompt cache stored.
    pub cache_write: u64,
    /// Those of `cache_write` that are stored for an hour or longer. Providers store for minutes unless a call asks for more.
    pub cache_write_1h: u64,
    /// All output tokens, including reasoning.
    pub output: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
    /// What is billed by the piece beside tokens: images that were made, or characters that were spoken.
    pub pieces: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.cached_input = self.cached_input.saturating_add(other.cached_input);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.cache_write_1h = self.cache_write_1h.saturating_add(other.cache_write_1h);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.pieces = self.pieces.saturating_add(other.pieces);
    }
}

/// Prices in micro-dollars per million tokens, from the `price` table of a model in `models.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    pub input: u64,
    pub cached_input: u64,
    /// For input that is stored for minutes.
    pub cache_write: u64,
    /// For input that is stored for an hour or longer.
    pub cache_write_1h: u64,
    pub output: u64,
    pub reasoning: u64,
    /// For a million pieces: see [`Usage::pieces`]. A model has pieces of one kind.
    pub pieces: u64,
}

impl Price {
    /// The cost of `usage`, rounded up once to the next micro-dollar.
    ///
    /// Because costs are rounded up, a sum of charges is never below the provider's bill. The cost saturates at
    /// `i64::MAX`, so that balances can hold it.
    ///
    /// ```
    /// # use shared::model::{money::MicroUsd, tokens::{Price, Usage}};
    /// let (input, output) = (2_500_000, 10_000_000);
    /// let price = Price { input, cached_input: 250_000, cache_write: input, cache_write_1h: input, output, reasoning: output, pieces: 0 };
    /// let usage = Usage { input: 1_000, cached_input: 400, output: 10, ..Usage::default() };
    /// assert_eq!(price.cost(&usage), MicroUsd(1_700)); // 600 x 2.5 + 400 x 0.25 + 10 x 10 micro-dollars
    /// assert_eq!(price.cost(&Usage { input: 1, ..Usage::default() }), MicroUsd(3)); // 2.5 rounds up
    /// ```
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> MicroUsd {
        let fresh = usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.cache_write);
        let long = usage.cache_write_1h.min(usage.cache_write);
        let spoken = usage.output.saturating_sub(usage.reasoning);
        let parts = [
            (fresh, self.input),
            (usage.cached_input, self.cached_input),
            (usage.cache_write - long, self.cache_write),
            (long, self.cache_write_1h),
            (spoken, self.output),
            (usage.reasoning, self.reasoning),
            (usage.pieces, self.pieces),
        ];
        let total: u128 = parts.iter().map(|&(tokens, rate)| u128::from(tokens) * u128::from(rate)).sum();
        MicroUsd(i64::try_from(total.div_ceil(1_000_000)).unwrap_or(i64::MAX).unsigned_abs())
    }

    /// Whether tokens cost nothing: then the cost of a call does not depend on a report of its tokens.
    #[must_use]
    pub fn has_free_tokens(&self) -> bool {
        let rates = [self.input, self.cached_input, self.cache_write, self.cache_write_1h, self.output, self.reasoning];
        rates.iter().all(|rate| *rate == 0)
    }

    /// The price of a call that asks for no long storage of its input. Its tokens of that kind cannot come, so they do not
    /// make its worst case dearer.
    #[must_use]
    pub fn without_long_storage(self) -> Self {
        Self { cache_write_1h: self.cache_write, ..self }
    }

    /// The highest cost of a call within `bound`, for any use of the provider's caches.
    #[must_use]
    pub fn worst_case(&self, bound: &Bound) -> MicroUsd {
        let dearest = Self {
            input: self.input.max(self.cached_input).max(self.cache_write).max(self.cache_write_1h),
            output: self.output.max(self.reasoning),
            ..*self
        };
        dearest.cost(&bound.whole())
    }
}

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
    pub fn at(price: Option<Price>, usage: Usage) -> Self {
        Self { usage, cost: price.map_or(MicroUsd(0), |price| price.cost(&usage)), excess: MicroUsd(0) }
    }

    /// The charge for a usage that a provider reported. A provider that reports more than the call can use is not believed:
    /// nothing was reserved for the rest.
    #[must_use]
    pub fn reported(price: Option<Price>, usage: Usage, bound: &Bound) -> Self {
        let believed = Self::at(price, bound.cut(usage));
        let claimed = Self::at(price, usage).cost;
        Self { excess: MicroUsd(claimed.0.saturating_sub(believed.cost.0)), ..believed }
    }

    /// The most that `usage` can cost at `price`, for any use of the provider's caches and any share of reasoning.
    #[must_use]
    pub fn at_most(price: Option<Price>, usage: Usage) -> Self {
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

    /// A usage without what is beyond the bound.
    #[must_use]
    fn cut(&self, usage: Usage) -> Usage {
        let input = usage.input.min(self.input);
        let cached_input = usage.cached_input.min(input);
        let output = usage.output.min(self.output);
        let cache_write = usage.cache_write.min(input - cached_input);
        let cache_write_1h = usage.cache_write_1h.min(cache_write);
        let (reasoning, pieces) = (usage.reasoning.min(output), usage.pieces.min(self.pieces));
        Usage { input, cached_input, cache_write, cache_write_1h, output, reasoning, pieces }
    }

    /// The usage of a call by what was received of it: all of its input, and one output token for each byte, at most the
    /// bound. Reasoning that a provider hides leaves no bytes; see decision 5.
    #[must_use]
    pub fn estimate(&self, received_bytes: u64) -> Usage {
        Usage { output: received_bytes.min(self.output), ..self.whole() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price =
        Price { input: 3, cached_input: 1, cache_write: 5, cache_write_1h: 60, output: 7, reasoning: 9, pieces: 11 };

    #[test]
    fn every_kind_of_token_has_its_price() {
        let million = 1_000_000;
        let usage = Usage {
            input: 6 * million,
            cached_input: million,
            cache_write: 2 * million,
            cache_write_1h: million,
            output: 3 * million,
            reasoning: million,
            pieces: 2 * million,
        };
        assert_eq!(PRICE.cost(&usage), MicroUsd(3 * 3 + 1 + 5 + 60 + 2 * 7 + 9 + 2 * 11));
    }

    #[test]
    fn a_usage_beyond_the_worst_case_is_cut_and_the_excess_is_known() {
        let bound = Bound { input: 1_000_000, output: 1_000_000, pieces: 1_000_000 };
        let plausible = Usage { input: 1_000_000, output: 1, reasoning: 1, ..Usage::default() };
        assert_eq!(Charge::reported(Some(PRICE), plausible, &bound), Charge::at(Some(PRICE), plausible));
        for absurd in [1_000_001, 1 << 50, u64::MAX] {
            let usage =
                Usage { input: absurd, cache_write_1h: absurd, output: absurd, pieces: absurd, ..Usage::default() };
            let Charge { usage: cut, cost, excess } = Charge::reported(Some(PRICE), usage, &bound);
            assert!(cost <= PRICE.worst_case(&bound), "{absurd}");
            let within = (cut.input, cut.output, cut.pieces) == (bound.input, bound.output, bound.pieces);
            assert!(within && excess > MicroUsd(0), "{absurd}");
            let unpriced = Charge::reported(None, usage, &bound);
            assert_eq!((unpriced.usage, unpriced.cost, unpriced.excess), (cut, MicroUsd(0), MicroUsd(0)));
        }
    }

    #[test]
    fn the_worst_case_is_never_below_the_cost() {
        let bound = Bound { input: 1_000_000, output: 1_000_000, pieces: 7 };
        let usage = Usage {
            input: 1_000_000,
            cache_write: 1_000_000,
            cache_write_1h: 1_000_000,
            output: 1_000_000,
            reasoning: 1_000_000,
            cached_input: 0,
            pieces: 7,
        };
        assert_eq!(PRICE.worst_case(&bound), PRICE.cost(&usage));
        let short = Usage { cache_write_1h: 0, ..usage };
        assert_eq!(PRICE.without_long_storage().worst_case(&bound), PRICE.cost(&short));
    }

    #[test]
    fn a_provider_that_counts_more_cached_than_input_is_not_paid_twice() {
        let usage = Usage { input: 10, cached_input: 20, ..Usage::default() };
        assert_eq!(PRICE.cost(&usage), MicroUsd(1));
        let longer = Usage { input: 10, cache_write: 10, cache_write_1h: 1_000_000, ..Usage::default() };
        assert_eq!(PRICE.cost(&longer), MicroUsd(1));
    }
}
