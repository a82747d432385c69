//! The prices of a model in `models.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::entries::Problems;
use crate::model::money::MicroUsd;
use crate::model::tokens::Price;

/// US dollars per million tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceEntry {
    input: Spanned<f64>,
    cached_input: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
    cache_write_1h: Option<Spanned<f64>>,
    output: Option<Spanned<f64>>,
    reasoning: Option<Spanned<f64>>,
    #[serde(default)]
    tiers: BTreeMap<String, Spanned<PriceEntry>>,
}

/// The price of a model, and those of its service tiers.
pub(super) fn prices(
    table: Spanned<PriceEntry>,
    chat: bool,
    problems: &mut Problems,
) -> (Price, BTreeMap<String, Price>) {
    let at = table.span().start;
    let mut entry = table.into_inner();
    let tiers = std::mem::take(&mut entry.tiers).into_iter().map(|(name, table)| {
        let (at, tier) = (table.span().start, table.into_inner());
        if !tier.tiers.is_empty() {
            problems.add(at, format!("the price of the tier `{name}` has tiers; write them beside it"));
        }
        (name, price(at, tier, chat, problems))
    });
    let tiers = tiers.collect();
    (price(at, entry, chat, problems), tiers)
}

fn price(at: usize, entry: PriceEntry, chat: bool, problems: &mut Problems) -> Price {
    if chat && entry.output.is_none() {
        problems.add(at, "the price has no `output`, in USD per million tokens");
    }
    let input = rate(entry.input, problems);
    let output = entry.output.map_or(0, |value| rate(value, problems));
    // A missing price counts in full: a guess must not be below the provider's bill.
    let mut or = |value: Option<Spanned<f64>>, default: u64| value.map_or(default, |value| rate(value, problems));
    let cache_write = or(entry.cache_write, input);
    Price {
        input,
        cached_input: or(entry.cached_input, input),
        cache_write,
        cache_write_1h: or(entry.cache_write_1h, cache_write),
        output,
        reasoning: or(entry.reasoning, output),
    }
}

/// Dollars per million tokens as micro-dollars per million tokens.
fn rate(dollars: Spanned<f64>, problems: &mut Problems) -> u64 {
    let at = dollars.span().start;
    let dollars = dollars.into_inner();
    let Some(MicroUsd(micro)) = MicroUsd::from_dollars(dollars) else {
        problems.add(at, format!("the price {dollars} is no amount of US dollars per million tokens"));
        return 0;
    };
    micro
}
