//! What tokens and pieces cost.

use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::charge::Bound;
use super::multipliers::Multipliers;
use super::rates::{Longer, Rates};
use super::usage::Usage;
use crate::model::money::MicroUsd;

/// The price of a model in one service tier, from the `price` table of `models.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    #[serde(flatten)]
    pub rates: Rates,
    /// For longer prompts, by length. All tokens of a call have the rates of its prompt's length.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub longer: Vec<Longer>,
    /// By the place where the provider served the call.
    #[serde(default, skip_serializing_if = "Multipliers::is_empty")]
    pub geo: Multipliers,
    /// By the speed with which the provider served the call.
    #[serde(default, skip_serializing_if = "Multipliers::is_empty")]
    pub speed: Multipliers,
    /// For a million pieces, whatever the length of the prompt: see [`Usage::pieces`]. A model has pieces of one kind.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pieces: u64,
    /// The price of the default tier, for a call that asks for another one: providers serve some of these calls in the default tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_default_tier: Option<Box<Price>>,
}

fn is_zero(rate: &u64) -> bool {
    *rate == 0
}

/// Rates are per million tokens or pieces, and each of the two multipliers in millionths.
const UNITS: u128 = 1_000_000_000_000_000_000;

impl From<Rates> for Price {
    fn from(rates: Rates) -> Self {
        Self {
            rates,
            longer: Vec::new(),
            geo: Multipliers::default(),
            speed: Multipliers::default(),
            pieces: 0,
            in_default_tier: None,
        }
    }
}

impl Price {
    /// The cost of `usage`, rounded up once to the next micro-dollar.
    ///
    /// Because costs are rounded up, a sum of charges is never below the provider's bill. The cost saturates at
    /// `i64::MAX`, so that balances can hold it.
    ///
    /// ```
    /// # use shared::model::{money::MicroUsd, tokens::{Price, Rates, Usage}};
    /// let price = Price::from(Rates { cached_input: 250_000, ..Rates::flat(2_500_000, 10_000_000) });
    /// let usage = Usage { input: 1_000, cached_input: 400, output: 10, ..Usage::default() };
    /// assert_eq!(price.cost(&usage), MicroUsd(1_700)); // 600 x 2.5 + 400 x 0.25 + 10 x 10 micro-dollars
    /// assert_eq!(price.cost(&Usage { input: 1, ..Usage::default() }), MicroUsd(3)); // 2.5 rounds up
    /// ```
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> MicroUsd {
        let own = self.cost_in_tier(usage);
        match &self.in_default_tier {
            // Nothing was held for a tier that is dearer than the one that the call asked for.
            Some(default) if usage.served.is_in_default_tier() => own.min(default.cost_in_tier(usage)),
            _ => own,
        }
    }

    fn cost_in_tier(&self, usage: &Usage) -> MicroUsd {
        let rates = self.rates_of(usage.prompt()).list();
        let multiplier = u128::from(self.geo.of(usage.served.geo)) * u128::from(self.speed.of(usage.served.speed));
        let tokens = usage.parts().into_iter().zip(rates);
        cost(tokens.chain([(usage.pieces, self.pieces)]), multiplier)
    }

    /// The rates of a call by the tokens of its prompt.
    fn rates_of(&self, prompt: u64) -> &Rates {
        self.longer.iter().rev().find(|longer| prompt > longer.above).map_or(&self.rates, |longer| &longer.rates)
    }

    /// The price of a call that asks for this. Kinds of tokens that cannot come make its worst case no dearer, and cost as much
    /// as text should they come nevertheless.
    #[must_use]
    pub fn asked(&self, asked: &Asked) -> Self {
        Self {
            rates: self.rates.asked(asked),
            longer: self.longer.iter().map(|longer| Longer { rates: longer.rates.asked(asked), ..*longer }).collect(),
            geo: asked.geo.map_or_else(|| self.geo.clone(), |word| self.geo.asked(word)),
            speed: asked.speed.map_or_else(Multipliers::default, |word| self.speed.asked(word)),
            pieces: self.pieces,
            in_default_tier: self.in_default_tier.as_ref().map(|price| Box::new(price.asked(asked))),
        }
    }

    /// The price that is lower by a share in millionths. Rates are rounded up.
    #[must_use]
    pub fn discounted(&self, millionths: u64) -> Self {
        let left = u128::from(1_000_000_u64.saturating_sub(millionths));
        let lower = |rate: u64| u64::try_from((u128::from(rate) * left).div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let longer = self.longer.iter().map(|longer| Longer { rates: longer.rates.map(lower), ..*longer });
        Self {
            rates: self.rates.map(lower),
            longer: longer.collect(),
            geo: self.geo.clone(),
            speed: self.speed.clone(),
            pieces: lower(self.pieces),
            in_default_tier: None,
        }
    }

    /// Whether this price of a call knows the place that the call asked for.
    #[must_use]
    pub fn knows_asked_geo(&self) -> bool {
        self.geo.has_asked()
    }

    /// Whether this price of a call knows the speed that the call asked for.
    #[must_use]
    pub fn knows_asked_speed(&self) -> bool {
        self.speed.has_asked()
    }

    /// Whether tokens cost nothing: then the cost of a call does not depend on a report of its tokens.
    #[must_use]
    pub fn has_free_tokens(&self) -> bool {
        self.all_rates().all(|rates| rates.list().iter().all(|rate| *rate == 0))
    }

    /// Whether output tokens cost nothing.
    #[must_use]
    pub fn has_free_output(&self) -> bool {
        self.all_rates().all(|rates| rates.list()[Rates::INPUTS..].iter().all(|rate| *rate == 0))
    }

    /// Those of all lengths of a prompt.
    fn all_rates(&self) -> impl Iterator<Item = &Rates> {
        std::iter::once(&self.rates).chain(self.longer.iter().map(|longer| &longer.rates))
    }

    /// The highest cost of a call within `bound`, for any kinds of tokens, any length of its prompt, and any way to serve it.
    #[must_use]
    pub fn worst_case(&self, bound: &Bound) -> MicroUsd {
        let multiplier = u128::from(self.geo.highest()) * u128::from(self.speed.highest());
        let longer = self.longer.iter().filter(|longer| bound.input > longer.above).map(|longer| &longer.rates);
        let worst = std::iter::once(&self.rates).chain(longer).map(|rates| {
            let list = rates.list();
            let (inputs, outputs) = list.split_at(Rates::INPUTS);
            let dearest = |rates: &[u64]| rates.iter().copied().max().unwrap_or_default();
            let tokens = [(bound.input, dearest(inputs)), (bound.output, dearest(outputs))];
            cost(tokens.into_iter().chain([(bound.pieces, self.pieces)]), multiplier)
        });
        worst.max().unwrap_or_default()
    }
}

/// The cost of tokens and pieces, each with its rate. `multiplier` is the product of two.
fn cost(parts: impl Iterator<Item = (u64, u64)>, multiplier: u128) -> MicroUsd {
    let each = parts.map(|(count, rate)| u128::from(count).saturating_mul(u128::from(rate)));
    let total = each.fold(0_u128, u128::saturating_add).saturating_mul(multiplier);
    MicroUsd(i64::try_from(total.div_ceil(UNITS)).unwrap_or(i64::MAX).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tokens::{Label, Served, Stored};

    const MILLION: u64 = 1_000_000;

    /// A price with another rate for each kind.
    fn price() -> Price {
        Price::from(Rates {
            input: 3,
            cached_input: 1,
            cache_write: 5,
            cache_write_30m: 6,
            cache_write_1h: 60,
            cache_write_12h: 120,
            audio_input: Some(40),
            cached_audio: Some(4),
            image_input: Some(8),
            output: 7,
            reasoning: 9,
            audio_output: Some(80),
            image_output: Some(70),
        })
    }

    #[test]
    fn every_kind_of_token_has_its_price() {
        let usage = Usage {
            input: 10 * MILLION,
            cached_input: 2 * MILLION,
            cached_audio: MILLION,
            cache_write: 4 * MILLION,
            cache_write_30m: MILLION,
            cache_write_1h: MILLION,
            cache_write_12h: MILLION,
            audio_input: 2 * MILLION,
            image_input: MILLION,
            output: 6 * MILLION,
            reasoning: MILLION,
            audio_output: MILLION,
            image_output: MILLION,
            pieces: 2 * MILLION,
            served: Served::default(),
        };
        let input = 2 * 3 + 1 + 4 + 5 + 6 + 60 + 120 + 40 + 8;
        let price = Price { pieces: 11, ..price() };
        assert_eq!(price.cost(&usage), MicroUsd(input + 3 * 7 + 9 + 80 + 70 + 2 * 11));
    }

    #[test]
    fn a_provider_that_counts_a_token_twice_is_not_paid_twice() {
        for (usage, expected) in [
            (Usage { input: 10, cached_input: 20, ..Usage::default() }, 1),
            (Usage { input: 10, cache_write: 10, cache_write_1h: MILLION, ..Usage::default() }, 1),
            (Usage { input: MILLION, audio_input: MILLION, image_input: MILLION, ..Usage::default() }, 40),
            (Usage { input: MILLION, cached_input: MILLION, cached_audio: 2 * MILLION, ..Usage::default() }, 4),
            (Usage { output: MILLION, reasoning: MILLION, audio_output: MILLION, ..Usage::default() }, 9),
        ] {
            assert_eq!(price().cost(&usage), MicroUsd(expected), "{usage:?}");
        }
    }

    #[test]
    fn a_long_prompt_has_other_rates_for_all_of_its_tokens() {
        let longer =
            [(200_000, 30), (400_000, 300)].map(|(above, rate)| Longer { above, rates: Rates::flat(rate, rate) });
        let price = Price { longer: longer.to_vec(), ..price() };
        let cost = |input: u64, longest_prompt: u64| {
            let served = Served { longest_prompt, ..Served::default() };
            price.cost(&Usage { input: input * 1_000, output: MILLION, served, ..Usage::default() }).0
        };
        assert_eq!((cost(200, 0), cost(201, 0), cost(400, 0), cost(401, 0)), (8, 37, 42, 421));
        assert_eq!((cost(400, 200_000), cost(400, 250_000)), (9, 42), "of several prompts the longest counts");
        let worst = |input: u64| price.worst_case(&Bound { input: input * 1_000, output: 0, pieces: 0 }).0;
        assert_eq!((worst(200), worst(201), worst(400), worst(500)), (24, 25, 48, 150), "cache writes cost 120");
    }

    #[test]
    fn place_and_speed_multiply_the_cost_before_it_is_rounded() {
        let multipliers = |word, by| Multipliers::new([(Label::new(word), by)].into());
        let price = Price { geo: multipliers("us", 1_100_000), speed: multipliers("fast", 2_000_000), ..price() };
        let cost = |asked: &Asked, geo, speed| {
            let served = Served { geo: Label::new(geo), speed: Label::new(speed), ..Served::default() };
            price.asked(asked).cost(&Usage { input: MILLION, served, ..Usage::default() }).0
        };
        let (plain, fast) = (Asked::default(), Asked { speed: Some(Label::new("fast")), ..Asked::default() });
        assert_eq!([cost(&plain, "", ""), cost(&plain, "us", ""), cost(&plain, "global", "standard")], [3, 4, 3]);
        assert_eq!([cost(&fast, "us", "fast"), cost(&fast, "", ""), cost(&fast, "", "standard")], [7, 6, 3]);
        let bound = Bound { input: 1_000 * MILLION, output: 0, pieces: 0 };
        let worst = |asked: &Asked| price.asked(asked).worst_case(&bound).0;
        let global = Asked { geo: Some(Label::new("global")), ..Asked::default() };
        assert_eq!([worst(&global), worst(&plain), worst(&fast)], [6_000, 6_600, 13_200]);
        assert!(price.asked(&fast).knows_asked_speed() && !price.asked(&global).knows_asked_geo());
    }

    #[test]
    fn a_piece_costs_the_same_for_each_length_and_is_multiplied() {
        let speed = Multipliers::new([(Label::new("fast"), 2_000_000)].into());
        let longer = vec![Longer { above: 10, rates: Rates::flat(0, 0) }];
        let price = Price { longer, speed, pieces: 11, ..Price::from(Rates::flat(0, 0)) };
        let fast = price.asked(&Asked { speed: Some(Label::new("fast")), ..Asked::default() });
        let [short, long] = [0, 20].map(|input| Usage { input, pieces: 3 * MILLION, ..Usage::default() });
        assert_eq!([price.cost(&short), price.cost(&long), fast.cost(&long)].map(|cost| cost.0), [33, 33, 66]);
        assert_eq!(fast.worst_case(&Bound { input: 20, output: 0, pieces: 3 * MILLION }), MicroUsd(66));
        assert!(price.has_free_tokens() && price.has_free_output());
        let longer = vec![Longer { above: 10, rates: Rates { image_output: Some(1), ..Rates::flat(0, 0) } }];
        let tokens = Price { longer, ..price };
        assert!(!tokens.has_free_tokens() && !tokens.has_free_output());
    }

    #[test]
    fn a_call_in_the_default_tier_costs_no_more_than_there_and_no_more_than_asked() {
        let default = Price::from(Rates::flat(5, 5));
        let cost = |rate, tier| {
            let in_default_tier = Some(Box::new(default.clone()));
            let price = Price { in_default_tier, ..Price::from(Rates::flat(rate, rate)) };
            let served = Served { tier: Label::new(tier), ..Served::default() };
            price.cost(&Usage { input: MILLION, served, ..Usage::default() }).0
        };
        assert_eq!((cost(9, "priority"), cost(9, "default"), cost(9, "")), (9, 5, 9));
        assert_eq!((cost(2, "flex"), cost(2, "default")), (2, 2));
    }

    #[test]
    fn kinds_that_a_call_does_not_ask_for_cost_as_text() {
        let bound = Bound { input: MILLION, output: MILLION, pieces: 0 };
        let worst = |asked: Asked| price().asked(&asked).worst_case(&bound).0;
        let plain = Asked::default();
        assert_eq!(worst(plain), 6 + 9);
        assert_eq!(worst(Asked { stored: Stored::Hour, ..plain }), 60 + 9);
        assert_eq!(worst(Asked { stored: Stored::HalfDay, ..plain }), 120 + 9);
        assert_eq!(worst(Asked { audio_input: true, ..plain }), 40 + 9);
        assert_eq!(worst(Asked { image_input: true, audio_output: true, ..plain }), 8 + 80);
        assert_eq!(worst(Asked { image_output: true, ..plain }), 6 + 70);
        let sound = Usage { input: MILLION, audio_input: MILLION, ..Usage::default() };
        assert_eq!(price().asked(&plain).cost(&sound), MicroUsd(3));
    }
}
