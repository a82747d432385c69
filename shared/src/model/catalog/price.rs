//! The prices of a model in `models.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::entries::Problems;
use super::{ImagePrices, ModelKind};
use crate::model::money::MicroUsd;
use crate::model::tokens::Price;

/// US dollars per million tokens, per image, and per million characters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceEntry {
    input: Option<Spanned<f64>>,
    cached_input: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
    cache_write_1h: Option<Spanned<f64>>,
    output: Option<Spanned<f64>>,
    reasoning: Option<Spanned<f64>>,
    per_image: Option<Spanned<PerImage>>,
    per_million_characters: Option<Spanned<f64>>,
    #[serde(default)]
    tiers: BTreeMap<String, Spanned<PriceEntry>>,
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
    pub(super) price: Price,
    /// Those of its service tiers.
    pub(super) tiers: BTreeMap<String, Price>,
    pub(super) per_image: Option<ImagePrices>,
}

/// The prices of a model of this kind.
pub(super) fn prices(table: Spanned<PriceEntry>, kind: ModelKind, problems: &mut Problems) -> Prices {
    let at = table.span().start;
    let mut entry = table.into_inner();
    let has_images = entry.per_image.is_some();
    let per_image = entry.per_image.take().and_then(|table| image_prices(table, kind, problems));
    let tiers = std::mem::take(&mut entry.tiers).into_iter().map(|(name, table)| {
        let (at, tier) = (table.span().start, table.into_inner());
        if !tier.tiers.is_empty() {
            problems.add(at, format!("the price of the tier `{name}` has tiers; write them beside it"));
        }
        if tier.per_image.is_some() || tier.per_million_characters.is_some() {
            problems
                .add(at, format!("the price of the tier `{name}` is not per token; images and sound have no tiers"));
        }
        (name, price(at, tier, kind, false, problems))
    });
    let tiers = tiers.collect();
    let price = price(at, entry, kind, has_images, problems);
    let pieces = per_image.as_ref().map_or(price.pieces, ImagePrices::dearest);
    Prices { price: Price { pieces, ..price }, tiers, per_image }
}

fn price(at: usize, entry: PriceEntry, kind: ModelKind, has_images: bool, problems: &mut Problems) -> Price {
    if kind == ModelKind::Chat && entry.output.is_none() {
        problems.add(at, "the price has no `output`, in USD per million tokens");
    }
    if entry.input.is_none() && entry.per_million_characters.is_none() && !has_images {
        problems.add(at, "the price has no `input`, in USD per million tokens");
    }
    if let Some(characters) = entry.per_million_characters.as_ref().filter(|_| kind != ModelKind::Speech) {
        problems
            .add(characters.span().start, "`per_million_characters` is for models of the kind \"speech\"; remove it");
    }
    let mut or = |value: Option<Spanned<f64>>, default: u64| value.map_or(default, |value| rate(value, problems));
    let (input, output, pieces) = (or(entry.input, 0), or(entry.output, 0), or(entry.per_million_characters, 0));
    // A missing price counts in full: a guess must not be below the provider's bill.
    let cache_write = or(entry.cache_write, input);
    Price {
        input,
        cached_input: or(entry.cached_input, input),
        cache_write,
        cache_write_1h: or(entry.cache_write_1h, cache_write),
        output,
        reasoning: or(entry.reasoning, output),
        pieces,
    }
}

/// Images in the million that a price counts.
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
            let price = model.price.unwrap();
            assert_eq!((price.pieces, price.has_free_tokens(), model.max_output_tokens), (dearest, true, 0), "{rest}");
        }
        let speech = read("speech", "price = { per_million_characters = 15 }").unwrap();
        assert_eq!(speech.price.map(|price| price.pieces), Some(15_000_000));
        let tokens =
            read("image", "price = { input = 5, output = 40 }\ncontext_tokens = 9\nmax_output_tokens = 7").unwrap();
        assert_eq!((tokens.price.map(|price| price.output), tokens.max_output_tokens), (Some(40_000_000), 7));
    }

    #[test]
    fn prices_that_do_not_fit_the_kind_or_are_no_amounts_are_refused() {
        for (kind, rest, reason) in [
            ("embedding", "price = { per_image = 1 }", "`per_image` is for models of the kind \"image\""),
            ("image", "price = { per_million_characters = 1 }", "is for models of the kind \"speech\""),
            ("image", "price = { per_image = -1 }", "the price -1 of `default` is no amount"),
            ("image", "price = { per_image = {} }", "`per_image` has no prices"),
            ("image", "price = { per_image = 'free' }", "expected an amount of dollars, or a table"),
            ("image", "price = { }", "the price has no `input`"),
            ("image", "price = { input = 5, output = 40 }", "has a price but no `context_tokens`"),
            ("speech", "price = { input = 1, tiers = { flex = { input = 1, per_million_characters = 1 } } }", "tiers"),
        ] {
            let found = read(kind, rest).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
    }
}
