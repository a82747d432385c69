//! The prices of images by their size and quality.

use std::collections::BTreeMap;

/// Prices in micro-dollars per million images, from `per_image` of a `price` table.
///
/// A name is a size (`1024x1024`), a quality (`hd`), both (`1024x1024/hd`), or `default` for a request that names neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePrices(pub(super) BTreeMap<String, u64>);

const DEFAULT: &str = "default";

impl ImagePrices {
    /// The price of every image, whatever its size.
    #[must_use]
    pub fn dearest(&self) -> u64 {
        self.0.values().copied().max().unwrap_or(0)
    }

    /// The highest price of an image of this size and quality; `None` where the provider chooses. `docs/models.md` has the rules.
    #[must_use]
    pub fn of(&self, size: Option<&str>, quality: Option<&str>) -> u64 {
        // A caller must not choose an entry by its name in the table.
        if [size, quality].into_iter().flatten().any(|name| name == DEFAULT || name.contains('/')) {
            return self.dearest();
        }
        let named = match (size, quality) {
            (Some(size), Some(quality)) => self.0.get(&format!("{size}/{quality}")),
            (Some(one), None) | (None, Some(one)) => self.0.get(one),
            (None, None) => self.0.get(DEFAULT),
        };
        let fits = |name: &str| {
            let allows = |part: &str| size == Some(part) || quality == Some(part);
            let parts = name.split('/').collect::<Vec<_>>();
            match (size, quality) {
                (None, None) => true,
                // Both are named: each part of the entry must be one of them.
                (Some(_), Some(_)) => parts.iter().all(|part| allows(part)),
                // The part that is not named may be any.
                _ => parts.iter().any(|part| allows(part)),
            }
        };
        let dearest_fit = || self.0.iter().filter(|(name, _)| fits(name)).map(|(_, price)| *price).max();
        named.copied().or_else(dearest_fit).unwrap_or_else(|| self.dearest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prices: &[(&str, u64)], cases: &[(Option<&str>, Option<&str>, u64)]) {
        let prices = ImagePrices(prices.iter().map(|(name, price)| ((*name).to_owned(), *price)).collect());
        for (size, quality, expected) in cases {
            assert_eq!(prices.of(*size, *quality), *expected, "{size:?} {quality:?}");
        }
    }

    #[test]
    fn an_image_costs_what_its_size_and_quality_cost() {
        let (square, wide, hd) = (Some("1024x1024"), Some("1792x1024"), Some("hd"));
        let prices =
            [("default", 40), ("1024x1024", 40), ("1792x1024", 81), ("1024x1024/hd", 82), ("1792x1024/hd", 120)];
        check(&prices, &[(None, None, 40), (square, None, 40), (wide, None, 81), (square, hd, 82), (wide, hd, 120)]);
        check(&prices, &[(None, hd, 120), (square, Some("standard"), 40), (Some("9x9"), None, 120)]);
        check(&prices, &[(Some("default"), None, 120), (Some("1024x1024/hd"), None, 120), (Some("a"), Some("/"), 120)]);
    }

    #[test]
    fn the_dearest_counts_where_the_provider_chooses() {
        let prices = [("1024x1024/low", 11), ("1024x1024/high", 167), ("1536x1024/low", 16), ("1536x1024/high", 250)];
        check(&prices, &[(None, None, 250), (Some("1024x1024"), None, 167), (None, Some("low"), 16)]);
        check(&[("default", 5)], &[(None, None, 5), (Some("1024x1024"), Some("hd"), 5)]);
        check(&[("hd", 8), ("1024x1024", 4), ("default", 4)], &[(Some("1024x1024"), Some("hd"), 8)]);
    }
}
