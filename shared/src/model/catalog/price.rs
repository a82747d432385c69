//! The prices of a model in `models.toml`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::entries::Problems;
use super::{BATCH_TIER, ImagePrices, ModelKind};
use crate::model::money::MicroUsd;
use crate::model::tokens::{Label, Longer, Multipliers, Price, Rates};

/// US dollars per million tokens, per image, per million characters, and per minute.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceEntry {
    input: Option<Spanned<f64>>,
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
    per_image: Option<Spanned<PerImage>>,
    per_million_characters: Option<Spanned<f64>>,
    per_minute: Option<Spanned<f64>>,
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
    /// How much less the provider's batches cost, as a share. Not in a tier and not in an entry of `longer`.
    batch_discount: Option<Spanned<f64>>,
}

impl PriceEntry {
    /// Whether it has prices that are not per token.
    fn has_pieces(&self) -> bool {
        self.per_image.is_some() || self.per_million_characters.is_some() || self.per_minute.is_some()
    }
}

/// One price for all images, or one for each size and quality.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an amount of dollars, or a table of amounts by size and quality")]
enum PerImage {
    All(f64),
    Each(BTreeMap<String, f64>),
}

/// The prices of a model.
pub(super) struct Prices {
    pub(super) price: Arc<Price>,
    /// Those of its service tiers.
    pub(super) tiers: BTreeMap<String, Arc<Price>>,
    pub(super) per_image: Option<ImagePrices>,
}

/// The prices of a model of this kind.
pub(super) fn prices(table: Spanned<PriceEntry>, kind: ModelKind, problems: &mut Problems) -> Prices {
    let at = table.span().start;
    let mut entry = table.into_inner();
    let has_images = entry.per_image.is_some();
    let per_image = entry.per_image.take().and_then(|table| image_prices(table, kind, problems));
    let tiers = std::mem::take(&mut entry.tiers);
    let batch_discount = entry.batch_discount.take();
    let own = price(at, entry, kind, has_images, problems);
    let own = Price { pieces: per_image.as_ref().map_or(own.pieces, ImagePrices::dearest), ..own };
    let tiers = tiers.into_iter().map(|(name, table)| {
        let (at, tier) = (table.span().start, table.into_inner());
        if !tier.tiers.is_empty() {
            problems.add(at, format!("the price of the tier `{name}` has tiers; write them beside it"));
        }
        if tier.has_pieces() {
            problems
                .add(at, format!("the price of the tier `{name}` is not per token; images and sound have no tiers"));
        }
        let tier = price(at, tier, kind, false, problems);
        // A place or a speed costs more in each tier, and a piece costs the same.
        let or = |of_tier: Multipliers, own: &Multipliers| if of_tier.is_empty() { own.clone() } else { of_tier };
        let (geo, speed) = (or(tier.geo, &own.geo), or(tier.speed, &own.speed));
        (name, Arc::new(Price { geo, speed, pieces: own.pieces, ..tier }))
    });
    let mut tiers: BTreeMap<_, _> = tiers.collect();
    if let Some(discount) = batch_discount.and_then(|discount| self::discount(&discount, problems)) {
        if tiers.contains_key(BATCH_TIER) {
            problems.add(at, "the price has `batch_discount` and `tiers.batch`; keep one");
        }
        tiers.insert(BATCH_TIER.to_owned(), Arc::new(own.discounted(discount)));
    }
    Prices { price: Arc::new(own), tiers, per_image }
}

fn price(at: usize, mut entry: PriceEntry, kind: ModelKind, has_images: bool, problems: &mut Problems) -> Price {
    if entry.above.is_some() {
        problems.add(at, "`above` is for the entries of `longer`");
    }
    if entry.batch_discount.is_some() {
        problems.add(at, "`batch_discount` is for the price of the model, not for a tier");
    }
    let served = Served { kind, has_pieces: has_images || entry.has_pieces() };
    let pieces = pieces(&mut entry, kind, problems);
    let (geo, speed) = (std::mem::take(&mut entry.inference_geo), std::mem::take(&mut entry.speed));
    let (geo, speed) = (multipliers(geo, problems), multipliers(speed, problems));
    let longer = std::mem::take(&mut entry.longer);
    let rates = rates(at, entry, served, problems);
    let mut longer: Vec<_> = longer.into_iter().map(|table| longer_price(table, &rates, served, problems)).collect();
    longer.sort_by_key(|longer| longer.above);
    if longer.windows(2).any(|pair| pair[0].above == pair[1].above) {
        problems.add(at, "`longer` has two entries for the same length");
    }
    Price { longer, geo, speed, pieces, ..Price::from(rates) }
}

/// A discount in millionths.
fn discount(share: &Spanned<f64>, problems: &mut Problems) -> Option<u64> {
    let (at, share) = (share.span().start, *share.get_ref());
    let MicroUsd(millionths) = MicroUsd::from_dollars(share).filter(|_| share < 1.0).or_else(|| {
        problems.add(at, format!("`batch_discount` is {share}; it must be at least 0 and below 1"));
        None
    })?;
    Some(millionths)
}

/// The price of a million characters or seconds.
fn pieces(entry: &mut PriceEntry, kind: ModelKind, problems: &mut Problems) -> u64 {
    let (characters, minute) = (entry.per_million_characters.take(), entry.per_minute.take());
    for (price, name, of, of_name) in [
        (&characters, "per_million_characters", ModelKind::Speech, "speech"),
        (&minute, "per_minute", ModelKind::Transcription, "transcription"),
    ] {
        if let Some(price) = price.as_ref().filter(|_| kind != of) {
            problems.add(price.span().start, format!("`{name}` is for models of the kind \"{of_name}\"; remove it"));
        }
    }
    let million_seconds = |minute: Spanned<f64>| {
        let at = minute.span().start;
        let dollars = minute.into_inner();
        let Some(MicroUsd(micro)) = MicroUsd::from_dollars(dollars) else {
            problems.add(at, format!("the price {dollars} is no amount of US dollars per minute"));
            return 0;
        };
        micro.saturating_mul(MILLION).div_ceil(SECONDS_OF_A_MINUTE)
    };
    let of_minute = minute.map_or(0, million_seconds);
    characters.map_or(of_minute, |value| rate(value, problems))
}

const SECONDS_OF_A_MINUTE: u64 = 60;

/// A model that makes only images or only sound has one rate for them.
fn check_output(entry: &PriceEntry, kind: ModelKind, problems: &mut Problems) {
    if !matches!(kind, ModelKind::Image | ModelKind::Speech) {
        return;
    }
    let apart = [(&entry.audio_output, "audio_output"), (&entry.image_output, "image_output")];
    for (rate, name) in apart {
        if let Some(rate) = rate {
            problems.add(
                rate.span().start,
                format!("`{name}` is for chat models that write text beside it; write `output`"),
            );
        }
    }
}

/// What a price is for.
#[derive(Clone, Copy)]
struct Served {
    kind: ModelKind,
    /// Whether it is billed by the piece, with or without tokens.
    has_pieces: bool,
}

fn longer_price(table: Spanned<PriceEntry>, shorter: &Rates, served: Served, problems: &mut Problems) -> Longer {
    let (at, entry) = (table.span().start, table.into_inner());
    let has_multipliers = !(entry.inference_geo.is_empty() && entry.speed.is_empty());
    let has_discount = entry.batch_discount.is_some();
    if !(entry.longer.is_empty() && entry.tiers.is_empty()) || has_multipliers || has_discount || entry.has_pieces() {
        problems.add(at, "an entry of `longer` has `above` and rates only");
    }
    if entry.above.is_none() {
        problems.add(at, "the entry of `longer` has no `above`, in tokens of the prompt");
    }
    let above = entry.above.unwrap_or_default();
    // Pieces stand in for no rate here: they cost the same for each length.
    let rates = rates(at, entry, Served { has_pieces: false, ..served }, problems);
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

fn rates(at: usize, entry: PriceEntry, served: Served, problems: &mut Problems) -> Rates {
    if !served.has_pieces && entry.input.is_none() {
        problems.add(at, "the price has no `input`, in USD per million tokens");
    }
    if served.kind == ModelKind::Chat && entry.output.is_none() {
        problems.add(at, "the price has no `output`, in USD per million tokens");
    }
    check_output(&entry, served.kind, problems);
    let mut maybe = |value: Option<Spanned<f64>>| value.map(|value| rate(value, problems));
    let (input, output) = (maybe(entry.input).unwrap_or(0), maybe(entry.output).unwrap_or(0));
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

/// Images or seconds in the million that a price counts.
const MILLION: u64 = 1_000_000;

/// The prices per image; `None` if they are wrong.
fn image_prices(table: Spanned<PerImage>, kind: ModelKind, problems: &mut Problems) -> Option<ImagePrices> {
    let at = table.span().start;
    if kind != ModelKind::Image {
        problems.add(at, "`per_image` is for models of the kind \"image\"; remove it");
        return None;
    }
    let listed = match table.into_inner() {
        PerImage::All(price) => BTreeMap::from([("default".to_owned(), price)]),
        PerImage::Each(prices) => prices,
    };
    if listed.is_empty() {
        problems.add(at, "`per_image` has no prices; write one for all images, or one for each size and quality");
    }
    let read = listed.into_iter().map(|(name, dollars)| {
        let Some(MicroUsd(micro)) = MicroUsd::from_dollars(dollars) else {
            problems.add(at, format!("the price {dollars} of `{name}` is no amount of US dollars per image"));
            return (name, 0);
        };
        (name, micro.saturating_mul(MILLION))
    });
    Some(ImagePrices(read.collect()))
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

#[cfg(test)]
mod tests {
    use crate::model::catalog::{Catalog, Model};

    fn read(kind: &str, rest: &str) -> Result<Model, String> {
        let text = format!(
            "[[provider]]\nname='p'\nkind='simulator'\n[[model]]\nname='m'\nkind='{kind}'\n{rest}\ntargets=[{{provider='p',model='m'}}]"
        );
        Catalog::parse(&text).map(|catalog| catalog.model("m").unwrap().clone()).map_err(|error| error.reason)
    }

    #[test]
    fn images_and_characters_have_prices_without_any_per_token() {
        for (rest, dearest) in [
            ("price = { per_image = 0.04 }", 40_000_000_000),
            ("price = { per_image = { default = 0.04, hd = 0.08 } }", 80_000_000_000),
        ] {
            let model = read("image", rest).unwrap();
            let price = model.price.as_deref().unwrap();
            assert_eq!((price.pieces, price.has_free_tokens(), model.max_output_tokens), (dearest, true, 0), "{rest}");
        }
        let speech = read("speech", "price = { per_million_characters = 15 }").unwrap();
        assert_eq!(speech.price.map(|price| price.pieces), Some(15_000_000));
        // $0.006 for a minute are 100 micro-dollars for a second.
        let minutes = read("transcription", "price = { per_minute = 0.006 }\nmax_seconds = 1500").unwrap();
        assert_eq!((minutes.price.map(|price| price.pieces), minutes.max_seconds), (Some(100_000_000), Some(1_500)));
        let tokens =
            read("image", "price = { input = 5, output = 40 }\ncontext_tokens = 9\nmax_output_tokens = 7").unwrap();
        assert_eq!((tokens.price.map(|price| price.rates.output), tokens.max_output_tokens), (Some(40_000_000), 7));
    }

    #[test]
    fn a_piece_costs_the_same_in_each_tier_and_output_needs_limits_wherever_it_costs_something() {
        let price = "price = { per_million_characters = 15, tiers = { flex = { input = 1 } } }";
        let flex = read("speech", price).unwrap().price_of_tier("flex").cloned().unwrap();
        assert_eq!((flex.pieces, flex.rates.input), (15_000_000, 1_000_000));
        for price in [
            "price = { per_image = 1, tiers = { flex = { input = 1, output = 2 } } }",
            "price = { per_image = 1, longer = [{ above = 9, input = 1, output = 2 }] }",
        ] {
            assert!(read("image", price).unwrap_err().contains("has a price but no `context_tokens`"), "{price}");
        }
    }

    #[test]
    fn prices_that_do_not_fit_the_kind_or_are_no_amounts_are_refused() {
        for (kind, rest, reason) in [
            ("embedding", "price = { per_image = 1 }", "`per_image` is for models of the kind \"image\""),
            ("image", "price = { per_million_characters = 1 }", "is for models of the kind \"speech\""),
            ("speech", "price = { per_minute = 1 }", "`per_minute` is for models of the kind \"transcription\""),
            (
                "transcription",
                "price = { per_minute = -1 }\nmax_seconds = 9",
                "the price -1 is no amount of US dollars per minute",
            ),
            ("transcription", "price = { per_minute = 1 }", "has a price per minute but no `max_seconds`"),
            ("transcription", "price = { input = 1 }", "has a price but no `context_tokens`"),
            ("transcription", "max_seconds = 0", "`max_seconds` of model `m` is 0"),
            ("speech", "max_seconds = 9", "`max_seconds` of model `m` is for models of the kind \"transcription\""),
            ("image", "price = { per_image = -1 }", "the price -1 of `default` is no amount"),
            ("image", "price = { per_image = {} }", "`per_image` has no prices"),
            ("image", "price = { per_image = 'free' }", "expected an amount of dollars, or a table"),
            ("image", "price = { }", "the price has no `input`"),
            (
                "image",
                "price = { input = 5, image_output = 40 }\ncontext_tokens = 9\nmax_output_tokens = 7",
                "`image_output` is for chat models",
            ),
            (
                "speech",
                "price = { input = 5, output = 1, tiers = { flex = { input = 5, audio_output = 4 } } }\ncontext_tokens = 9\nmax_output_tokens = 7",
                "write `output`",
            ),
            (
                "speech",
                "price = { input = 5, output = 1, longer = [{ above = 9, input = 5, audio_output = 4 }] }\ncontext_tokens = 9\nmax_output_tokens = 7",
                "write `output`",
            ),
            ("image", "price = { input = 1, per_image = 1, longer = [{ above = 9 }] }", "the price has no `input`"),
            (
                "speech",
                "price = { input = 1, longer = [{ above = 9, input = 1, per_million_characters = 1 }] }",
                "rates only",
            ),
            ("image", "price = { input = 5, output = 40 }", "has a price but no `context_tokens`"),
            ("speech", "price = { input = 1, tiers = { flex = { input = 1, per_million_characters = 1 } } }", "tiers"),
        ] {
            let found = read(kind, rest).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
    }
}
