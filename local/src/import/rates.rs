//! The rates of one entry for one service tier and one length of prompt.

use std::collections::BTreeMap;
use std::fmt;

use super::ImportError;
use super::entry::Entry;

/// The rates in the order in which they are written, and the field of each. OpenAI stores input for half an hour or for twelve, Anthropic
/// for five minutes or for an hour.
const NAMES: [(&str, &str); 12] = [
    ("input", "input_cost_per_token"),
    ("cached_input", "cache_read_input_token_cost"),
    ("cache_write", "cache_creation_input_token_cost"),
    ("cache_write_1h", "cache_creation_input_token_cost_above_1hr"),
    ("cache_write_12h", "cache_creation_input_token_cost_above_12hr"),
    ("audio_input", "input_cost_per_audio_token"),
    ("cached_audio_input", "cache_read_input_audio_token_cost"),
    ("image_input", "input_cost_per_image_token"),
    ("output", "output_cost_per_token"),
    ("reasoning", "output_cost_per_reasoning_token"),
    ("audio_output", "output_cost_per_audio_token"),
    ("image_output", "output_cost_per_image_token"),
];

/// Rates by their names in `models.toml`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rates(BTreeMap<&'static str, Rate>);

impl Rates {
    /// The rates in the fields with this suffix; `None` if there is none for input.
    pub(super) fn read(entry: &Entry<'_>, suffix: &str) -> Result<Option<Self>, ImportError> {
        let mut rates = Self::default();
        for (name, field) in NAMES {
            if let Some(rate) = entry.rate(&format!("{field}{suffix}"))? {
                rates.0.insert(name, rate);
            }
        }
        Ok(Some(rates).filter(|rates| rates.0.contains_key("input")))
    }

    pub(super) fn has_output(&self) -> bool {
        self.0.contains_key("output")
    }

    /// How many times dearer input is here, at least 1.
    pub(super) fn dearer_than(&self, other: &Self) -> f64 {
        match (self.0.get("input"), other.0.get("input")) {
            (Some(own), Some(other)) if other.0 > 0.0 => (own.0 / other.0).max(1.0),
            _ => 1.0,
        }
    }

    /// With the rates that the list lacks here: those of `default`, and dearer by as much as input is. Without them, a charge could be
    /// below the provider's bill.
    pub(super) fn completed_by(&self, default: &Self) -> Self {
        self.or(default, self.dearer_than(default))
    }

    /// With the rates that are missing here: those of `default`, so many times dearer.
    pub(super) fn or(&self, default: &Self, dearer: f64) -> Self {
        let mut rates = self.clone();
        for (name, rate) in &default.0 {
            rates.0.entry(name).or_insert(Rate(rate.0 * dearer));
        }
        rates
    }

    pub(super) fn input_only(&self) -> String {
        let input = self.0.get("input").copied().unwrap_or_default();
        format!("input = {input}")
    }

    /// As members of an inline table.
    pub(super) fn members(&self) -> String {
        self.each().collect::<Vec<_>>().join(", ")
    }

    /// As lines of a table.
    pub(super) fn lines(&self) -> String {
        self.each().map(|member| member + "\n").collect()
    }

    fn each(&self) -> impl Iterator<Item = String> {
        NAMES.iter().filter_map(|(name, _)| Some(format!("{name} = {}", self.0.get(name)?)))
    }
}

/// US dollars per million tokens, or a multiplier. Written to the millionth, with at least one decimal.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rate(pub(super) f64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.6}", self.0);
        let text = text.trim_end_matches('0');
        write!(f, "{text}{}", if text.ends_with('.') { "0" } else { "" })
    }
}
