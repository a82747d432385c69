//! The prices of a model in `models.toml`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::entries::Problems;
use crate::model::money::MicroUsd;
use crate::model::tokens::{Label, Longer, Multipliers, Price, Rates};

/// US dollars per million tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceEntry {
    input: Spanned<f64>,
    cached_input: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
    cache_write_30m: Option<Spanned<f64>>,
    cache_write_1h: Option<Spanned<f64>>,
    cache_write_12h: Option<Spanned<f64>>,
    audio_input: Option<Spanned<f64>>,
    cached_audio_input: Option<Spanned<f64>>,
    image_input: Option<Spanned<f64>>,
    output: Option<Spanned<f64>>,
    reasoning: Option<Spanned<f64>>,
    audio_output: Option<Spanned<f64>>,
    image_output: Option<Spanned<f64>>,
    /// Only in an entry of `longer`.
    above: Option<u64>,
    #[serde(default)]
    longer: Vec<Spanned<PriceEntry>>,
    #[serde(default)]
    inference_geo: BTreeMap<String, Spanned<f64>>,
    #[serde(default)]
    speed: BTreeMap<String, Spanned<f64>>,
    #[serde(default)]
    tiers: BTreeMap<String, Spanned<PriceEntry>>,
}

/// The price of a model, and those of its service tiers.
pub(super) fn prices(
    table: Spanned<PriceEntry>,
    chat: bool,
    problems: &mut Problems,
) -> (Arc<Price>, BTreeMap<String, Arc<Price>>) {
    let at = table.span().start;
    let mut entry = table.into_inner();
    let tiers = std::mem::take(&mut entry.tiers);
    let own = price(at, entry, chat, problems);
    let tiers = tiers.into_iter().map(|(name, table)| {
        let (at, tier) = (table.span().start, table.into_inner());
        if !tier.tiers.is_empty() {
            problems.add(at, format!("the price of the tier `{name}` has tiers; write them beside it"));
        }
        let tier = price(at, tier, chat, problems);
        // A place or a speed costs more in each tier.
        let or = |of_tier: Multipliers, own: &Multipliers| if of_tier.is_empty() { own.clone() } else { of_tier };
        let (geo, speed) = (or(tier.geo, &own.geo), or(tier.speed, &own.speed));
        (name, Arc::new(Price { geo, speed, ..tier }))
    });
    let tiers = tiers.collect();
    (Arc::new(own), tiers)
}

fn price(at: usize, mut entry: PriceEntry, chat: bool, problems: &mut Problems) -> Price {
    if entry.above.is_some() {
        problems.add(at, "`above` is for the entries of `longer`");
    }
    let (geo, speed) = (std::mem::take(&mut entry.inference_geo), std::mem::take(&mut entry.speed));
    let (geo, speed) = (multipliers(geo, problems), multipliers(speed, problems));
    let longer = std::mem::take(&mut entry.longer);
    let rates = rates(at, entry, chat, problems);
    let mut longer: Vec<_> = longer.into_iter().map(|table| longer_price(table, &rates, chat, problems)).collect();
    longer.sort_by_key(|longer| longer.above);
    if longer.windows(2).any(|pair| pair[0].above == pair[1].above) {
        problems.add(at, "`longer` has two entries for the same length");
    }
    Price { longer, geo, speed, ..Price::from(rates) }
}

fn longer_price(table: Spanned<PriceEntry>, shorter: &Rates, chat: bool, problems: &mut Problems) -> Longer {
    let (at, entry) = (table.span().start, table.into_inner());
    if !(entry.longer.is_empty() && entry.tiers.is_empty() && entry.inference_geo.is_empty() && entry.speed.is_empty())
    {
        problems.add(at, "an entry of `longer` has `above` and rates only");
    }
    if entry.above.is_none() {
        problems.add(at, "the entry of `longer` has no `above`, in tokens of the prompt");
    }
    let above = entry.above.unwrap_or_default();
    let rates = rates(at, entry, chat, problems);
    // Sound without a rate would be as cheap as text. It is never cheaper than that.
    let or = |own: Option<u64>, shorter: Option<u64>, text: u64| own.or(shorter.map(|rate| rate.max(text)));
    let apart = Rates {
        audio_input: or(rates.audio_input, shorter.audio_input, rates.input),
        cached_audio: or(rates.cached_audio, shorter.cached_audio, rates.cached_input),
        image_input: or(rates.image_input, shorter.image_input, rates.input),
        audio_output: or(rates.audio_output, shorter.audio_output, rates.output),
        image_output: or(rates.image_output, shorter.image_output, rates.output),
        ..rates
    };
    Longer { above, rates: apart }
}

fn rates(at: usize, entry: PriceEntry, chat: bool, problems: &mut Problems) -> Rates {
    if chat && entry.output.is_none() {
        problems.add(at, "the price has no `output`, in USD per million tokens");
    }
    let input = rate(entry.input, problems);
    let output = entry.output.map_or(0, |value| rate(value, problems));
    let mut maybe = |value: Option<Spanned<f64>>| value.map(|value| rate(value, problems));
    // A missing price counts in full: a guess must not be below the provider's bill.
    let cache_write = maybe(entry.cache_write).unwrap_or(input);
    let cache_write_30m = maybe(entry.cache_write_30m).unwrap_or(cache_write);
    let cache_write_1h = maybe(entry.cache_write_1h).unwrap_or(cache_write_30m);
    Rates {
        input,
        cached_input: maybe(entry.cached_input).unwrap_or(input),
        cache_write,
        cache_write_30m,
        cache_write_1h,
        cache_write_12h: maybe(entry.cache_write_12h).unwrap_or(cache_write_1h),
        audio_input: maybe(entry.audio_input),
        cached_audio: maybe(entry.cached_audio_input),
        image_input: maybe(entry.image_input),
        output,
        reasoning: maybe(entry.reasoning).unwrap_or(output),
        audio_output: maybe(entry.audio_output),
        image_output: maybe(entry.image_output),
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

/// A higher one is a mistake.
const HIGHEST_MULTIPLIER: f64 = 100.0;

fn multipliers(table: BTreeMap<String, Spanned<f64>>, problems: &mut Problems) -> Multipliers {
    let read = table.into_iter().map(|(word, times)| {
        let (at, times) = (times.span().start, times.into_inner());
        if !(1..=Label::LENGTH).contains(&word.len()) || !word.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.add(at, format!("`{word}` is no word of 1 to {} characters without spaces", Label::LENGTH));
        }
        if !(0.0..=HIGHEST_MULTIPLIER).contains(&times) {
            problems.add(at, format!("{times} is no multiplier of a price; expected 0 to {HIGHEST_MULTIPLIER}"));
            return (Label::new(&word), Multipliers::ONE);
        }
        let millionths = MicroUsd::from_dollars(times).map_or(Multipliers::ONE, |MicroUsd(millionths)| millionths);
        (Label::new(&word), millionths)
    });
    Multipliers::new(read.collect())
}
